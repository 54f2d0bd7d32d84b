#!/bin/sh
# Makes a log and trains, compares and predicts on it as examples/video.toml says, in a folder of its own:
#
#     examples/video.sh [FOLDER]                       # some minutes
#     ROWS=20000 examples/video.sh                     # some seconds
#
# PLEIAD is the command; what stands in SETTINGS goes to `train` and `compare`, such as "--set train.epochs=1".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pleiad=${PLEIAD:-pleiad}
folder=${1:-video-example}

mkdir -p "$folder"
cp "$here/video.toml" "$folder/video.toml"
cd "$folder"
"$pleiad" synth video --rows "${ROWS:-200000}" --seed 1 --out log.parquet
# shellcheck disable=SC2086 # SETTINGS are several words
"$pleiad" train video.toml --out run ${SETTINGS:-}
"$pleiad" predict run/model --data log.parquet --out predictions.csv
# shellcheck disable=SC2086
"$pleiad" compare video.toml --out compared ${SETTINGS:-}
echo "look at $folder/run/report.html and $folder/compared/report.html"
