//! Names that other libraries have for our keys and words: `lr`, `hidden_units`, `embedding_dim`, ...
//!
//! Letters alone lead from `epoch` to `epochs`, but not from `lr` to `optimizer.learning_rate`.

/// The name here of a name from another library. A key is a path from the table in which the name stood; it is suggested if
/// that table has the first part of the path. A key that begins with `[` is suggested in every table, so it comes last.
struct Foreign {
    names: &'static [&'static str],
    here: &'static [&'static str],
}

const fn foreign(names: &'static [&'static str], here: &'static [&'static str]) -> Foreign {
    Foreign { names, here }
}

const KEYS: &[Foreign] = &[
    foreign(
        &["lr", "learning_rate", "learningrate", "init_lr", "initial_lr", "base_lr", "eta", "step_size"],
        &[
            "learning_rate",
            "optimizer.learning_rate",
            "train.optimizer.learning_rate",
            "[train] optimizer.learning_rate",
        ],
    ),
    foreign(
        &["weight_decay", "l2", "l2_reg", "l2_regularization", "wd", "lambda", "reg"],
        &["weight_decay", "optimizer.weight_decay", "train.optimizer.weight_decay", "[train] optimizer.weight_decay"],
    ),
    foreign(&["beta1", "beta2", "beta_1", "beta_2", "adam_betas"], &["betas", "optimizer.betas"]),
    foreign(&["betas"], &["optimizer.betas"]),
    foreign(&["eps", "epsilon", "adam_epsilon"], &["epsilon", "optimizer.epsilon"]),
    foreign(&["momentum", "nesterov"], &["momentum", "optimizer.momentum"]),
    foreign(
        &["opt", "optim", "solver", "optimizer", "optimiser"],
        &["optimizer", "train.optimizer", "[train] optimizer"],
    ),
    foreign(
        &[
            "batch",
            "batchsize",
            "bs",
            "batch_size",
            "minibatch_size",
            "train_batch_size",
            "per_device_train_batch_size",
        ],
        &["batch_size", "train.batch_size", "[train] batch_size"],
    ),
    foreign(
        &["eval_batch_size", "eval_batch", "test_batch_size", "val_batch_size", "inference_batch_size"],
        &["evaluation_batch_size", "[train] evaluation_batch_size"],
    ),
    foreign(
        &["epoch", "epochs", "n_epochs", "num_epochs", "nb_epoch", "max_epochs", "max_epoch", "num_train_epochs"],
        &["epochs", "train.epochs", "[train] epochs"],
    ),
    foreign(&["random_seed", "random_state", "rng", "manual_seed"], &["seed", "seeds", "train.seed", "[train] seed"]),
    foreign(&["seed"], &["seeds", "train.seed", "[train] seed"]),
    foreign(
        &["patience", "early_stop", "early_stopping_rounds", "earlystopping", "early_stopping_patience"],
        &["patience", "early_stopping.patience", "train.early_stopping.patience", "[train] early_stopping.patience"],
    ),
    foreign(&["monitor", "eval_metric", "metric", "metrics"], &["metric", "early_stopping.metric"]),
    foreign(
        &["scheduler", "lr_scheduler", "lr_schedule", "learning_rate_schedule", "decay"],
        &["schedule", "[train] schedule"],
    ),
    foreign(&["warmup", "warm_up", "warmup_steps", "num_warmup_steps"], &["warmup_steps", "schedule.warmup_steps"]),
    foreign(
        &["grad_clip", "gradient_clip", "gradient_clip_val", "max_grad_norm", "clip", "clipnorm", "clip_grad_norm"],
        &["clip_norm", "[train] clip_norm"],
    ),
    foreign(&["amp", "mixed_precision", "fp16", "bf16", "half", "dtype"], &["precision", "kind", "[train] precision"]),
    foreign(&["save_every", "checkpoint_every", "save_steps", "checkpoints", "save_freq"], &["checkpoint.every_steps"]),
    foreign(
        &["loss_weighting", "loss_weights", "mtl_loss", "weighting"],
        &["weighting", "joint_loss.weighting", "[[task]] weight"],
    ),
    foreign(&["pos_weight", "scale_pos_weight", "class_weight"], &["positive_weight", "[[task]] positive_weight"]),
    foreign(
        &["sample_weight", "sample_weights", "sample_weight_column", "weight_column", "weight_col", "weights"],
        &["row_weight", "weight", "[data] weight"],
    ),
    foreign(&["negative_sampling", "downsampling", "sampling_rate"], &["sampled", "[[task]] sampled"]),
    foreign(&["gradient_surgery", "pcgrad", "cagrad"], &["joint_loss.gradient"]),
    foreign(
        &["num_workers", "workers", "n_jobs", "threads", "num_threads", "nthread"],
        &["[the command line] --threads"],
    ),
    foreign(&["output", "output_dir", "out", "save_dir", "log_dir"], &["[the command line] --out"]),
    foreign(
        &[
            "hidden_units",
            "hidden",
            "hidden_dim",
            "hidden_dims",
            "hidden_size",
            "hidden_sizes",
            "hidden_layers",
            "hidden_layer_sizes",
            "units",
            "layers",
            "mlp_dims",
            "dnn_hidden_units",
            "mlp",
            "width",
            "dims",
        ],
        &["widths", "bottom", "levels.0.widths", "tower", "model.tower"],
    ),
    foreign(
        &["expert_units", "expert_dims", "expert_hidden_units", "expert_dnn_hidden_units", "expert_size"],
        &["widths", "levels.0.widths"],
    ),
    foreign(
        &["bottom_units", "bottom_dnn_hidden_units", "shared_layers", "bottom_mlp_dims", "shared_bottom"],
        &["bottom"],
    ),
    foreign(
        &[
            "towers",
            "tower_units",
            "tower_dims",
            "tower_hidden_units",
            "tower_dnn_hidden_units",
            "tower_mlp_dims",
            "head",
        ],
        &["tower"],
    ),
    foreign(
        &["num_experts", "n_experts", "n_expert", "expert_num", "experts", "expert_number", "num_expert"],
        &["experts", "task_experts", "levels.0.experts", "levels.0.task_experts"],
    ),
    foreign(
        &["num_specific_experts", "specific_expert_num", "n_expert_specific", "num_task_experts", "specific_experts"],
        &["task_experts", "levels.0.task_experts"],
    ),
    foreign(
        &["num_shared_experts", "shared_expert_num", "n_expert_shared", "shared_expert"],
        &["shared_experts", "levels.0.shared_experts"],
    ),
    foreign(&["num_levels", "n_levels", "n_level", "num_layers"], &["levels"]),
    foreign(
        &["dropout_rate", "drop_rate", "dropout_prob", "p_dropout", "dnn_dropout", "dropout"],
        &["dropout", "[model] dropout"],
    ),
    foreign(
        &["act", "dnn_activation", "nonlinearity", "hidden_act", "activation_fn"],
        &["activation", "[model] activation"],
    ),
    foreign(
        &["embedding_dim", "embedding_size", "emb_dim", "emb_size", "embed_dim", "embed_size", "dim", "embeddings"],
        &["embedding", "[[feature]] embedding"],
    ),
    foreign(
        &["vocab_size", "vocabulary_size", "num_embeddings", "max_vocab", "max_tokens", "vocab", "vocabulary"],
        &["max_size", "encoding.vocabulary.max_size", "[[feature]] encoding.vocabulary.max_size"],
    ),
    foreign(
        &["hash", "hash_size", "hash_buckets", "hash_bucket_size", "num_hash_buckets", "n_hash"],
        &["encoding.hash", "[[feature]] encoding.hash"],
    ),
    foreign(
        &["min_freq", "min_frequency", "frequency_threshold", "min_count"],
        &["min_count", "encoding.vocabulary.min_count"],
    ),
    foreign(&["bins", "n_bins", "num_bins", "n_buckets", "num_buckets"], &["buckets"]),
    foreign(&["normalize", "normalise", "scale", "scaler", "scaling", "standardize"], &["transform"]),
    foreign(&["fill_na", "fillna", "fill_value", "default", "default_value", "impute"], &["missing"]),
    foreign(&["combiner", "aggregation", "mode"], &["pooling"]),
    foreign(&["name", "names", "column", "cols", "col", "fields", "field"], &["columns", "column", "name"]),
    foreign(&["type", "name", "class", "kind", "model_type", "task_type"], &["kind"]),
    foreign(&["target", "targets", "label_column", "label_col", "y", "column"], &["label", "column"]),
    foreign(&["loss_weight", "coef", "alpha"], &["weight", "alpha"]),
    foreign(&["filter", "mask", "sample_space", "condition", "query"], &["where"]),
    foreign(
        &["path", "file", "files", "train_path", "train_file", "train_data", "input", "data_path", "train_files"],
        &["train", "data.train"],
    ),
    foreign(
        &[
            "val",
            "validation",
            "dev",
            "eval",
            "val_path",
            "valid_path",
            "validation_data",
            "val_split",
            "validation_split",
            "valid_fraction",
        ],
        &["valid", "data.valid"],
    ),
    foreign(&["test_path", "test_file", "test_data", "test_split", "test_fraction", "holdout"], &["test", "data.test"]),
    foreign(&["split", "ratio", "frac", "size"], &["fraction"]),
    foreign(&["sep", "delim", "delimiter", "separator"], &["separator", "csv.separator", "[data.csv] separator"]),
    foreign(&["quotechar", "quote_char"], &["quote", "csv.quote"]),
    foreign(&["header", "has_header", "skiprows"], &["header", "csv.header", "[data.csv] header"]),
    foreign(&["na_values", "null_values", "nan", "null"], &["null", "csv.null", "[data.csv] null"]),
    foreign(&["features", "feature_columns", "columns"], &["feature"]),
    foreign(&["tasks", "labels", "heads"], &["task"]),
    foreign(&["models"], &["model"]),
    foreign(&["training", "trainer", "fit"], &["train"]),
    foreign(&["network", "architecture", "net"], &["model"]),
    foreign(&["dataset", "datasets", "input_data"], &["data"]),
];

const WORDS: &[Foreign] = &[
    foreign(
        &[
            "classification",
            "classifier",
            "binary_classification",
            "logistic",
            "bce",
            "ctr",
            "cvr",
            "sigmoid",
            "cross_entropy",
        ],
        &["binary"],
    ),
    foreign(&["regressor", "mse", "continuous", "linear", "l2"], &["regression", "numeric"]),
    foreign(
        &["sparse", "category", "string", "str", "text", "id", "int", "one_hot", "onehot", "embedding", "object"],
        &["categorical"],
    ),
    foreign(&["dense", "float", "double", "float32", "float64", "number", "numerical", "real"], &["numeric"]),
    foreign(&["bins", "binned", "discretized", "quantile"], &["bucketized"]),
    foreign(&["normalize", "zscore", "z-score", "standard", "standard_scaler", "scale", "normal"], &["standardize"]),
    foreign(&["log", "ln", "log10"], &["log1p"]),
    foreign(&["fp32", "float32", "float", "single"], &["f32"]),
    foreign(&["fp16", "f16", "half", "bfloat16", "mixed"], &["bf16"]),
    foreign(&["shared-bottom", "shared_bottom", "sharedbottom", "shared", "hard", "mtl"], &["hard-sharing"]),
    foreign(&["single", "single_task", "stl", "independent"], &["single-task"]),
    foreign(&["swish"], &["silu"]),
    foreign(&["none", "linear"], &["identity", "sum"]),
    foreign(&["average", "avg"], &["mean"]),
    foreign(&["drop", "ignore"], &["skip"]),
    foreign(&["raise", "fail"], &["error"]),
];

/// The key that a name from elsewhere means, from a table with the keys `known`.
pub(super) fn key(name: &str, known: &[&str]) -> Option<&'static str> {
    find(KEYS, name, known)
}

/// The word, one of `known`, that a word from elsewhere means.
pub(super) fn word(name: &str, known: &[&str]) -> Option<&'static str> {
    find(WORDS, name, known)
}

fn find(all: &'static [Foreign], name: &str, known: &[&str]) -> Option<&'static str> {
    let folded = name.to_lowercase();
    let plain = folded.replace('-', "_");
    let named = all.iter().filter(|foreign| foreign.names.iter().any(|n| *n == folded || *n == plain));
    named.flat_map(|foreign| foreign.here).copied().find(|path| {
        let first = path.split('.').next().unwrap_or(path);
        path.starts_with('[') || known.contains(&first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_where_the_key_is_from_here() {
        let (train, adam) = (["epochs", "optimizer", "seed"], ["learning_rate", "betas"]);
        assert_eq!(key("lr", &train), Some("optimizer.learning_rate"));
        assert_eq!(key("lr", &adam), Some("learning_rate"));
        assert_eq!(key("lr", &["data", "train"]), Some("train.optimizer.learning_rate"));
        assert_eq!(key("lr", &["kind", "tower"]), Some("[train] optimizer.learning_rate"));
        assert_eq!(key("Dropout-Rate", &["tower", "dropout"]), Some("dropout"));
        assert_eq!(key("hidden_units", &["levels", "tower"]), Some("levels.0.widths"));
        assert_eq!(key("what", &train), None);
        assert_eq!(word("classification", &["binary", "regression"]), Some("binary"));
    }

    #[test]
    fn every_entry_can_be_told() {
        for foreign in KEYS.iter().chain(WORDS) {
            assert!(!foreign.names.is_empty() && !foreign.here.is_empty());
            let far = foreign.here.iter().position(|path| path.starts_with('['));
            assert!(far.is_none_or(|at| at + 1 == foreign.here.len()), "{:?}", foreign.here);
            assert!(foreign.names.iter().all(|name| *name == name.to_lowercase()), "{:?}", foreign.names);
        }
    }
}
