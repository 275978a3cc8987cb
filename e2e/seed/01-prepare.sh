bash upgrade.sh
