#!/bin/sh
# What the front's directory holds. $1 is the front's configuration file.
set -e
posthouse=${POSTHOUSE:-posthouse}

for store in ingrid:10.77.0.2 fritz:10.77.0.3; do
    name=${store%%:*}
    "$posthouse" node add "n-$name" --role store --address "${store##*:}" \
        --port lmtp=2424 --port imap=2143 --port pop3=2110 --config "$1"
    "$posthouse" store add "$name" --node "n-$name" --config "$1"
done
"$posthouse" domain add example.org --config "$1"
"$posthouse" account add anna@example.org --store ingrid --password-hash '{PLAIN}anna has a password' --config "$1"
"$posthouse" account add york@example.org --store fritz --password-hash '{PLAIN}york has a password' --config "$1"
