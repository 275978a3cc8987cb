//! Schedules of crashes, errors and edits.
