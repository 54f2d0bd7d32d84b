#!/bin/sh
# Makes a log and trains, compares and predicts on it as an example says, in a folder of its own:
#
#     examples/run.sh video [FOLDER]             # or funnel; some minutes
#     ROWS=20000 examples/run.sh video           # some seconds
#
# PLEIAD is the command; what stands in SETTINGS goes to `train` and `compare`, such as "--set train.epochs=1".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pleiad=${PLEIAD:-pleiad}
example=${1:-video}
folder=${2:-$example-example}
case $example in
    video | funnel) ;;
    *)
        echo "examples/run.sh: the examples are video and funnel, not $example" >&2
        exit 2
        ;;
esac

mkdir -p "$folder"
cp "$here/$example.toml" "$folder/config.toml"
cd "$folder"
"$pleiad" synth video --rows "${ROWS:-200000}" --seed 1 --out log.parquet
# shellcheck disable=SC2086 # SETTINGS are several words
"$pleiad" train config.toml --out run ${SETTINGS:-}
"$pleiad" predict run/model --data log.parquet --out predictions.csv
# shellcheck disable=SC2086
"$pleiad" compare config.toml --out compared ${SETTINGS:-}
echo "look at $folder/run/report.html and $folder/compared/report.html"
