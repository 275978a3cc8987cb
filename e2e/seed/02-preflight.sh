bash upgrade.sh --preflight
