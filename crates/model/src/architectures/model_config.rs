//! [`ModelConfig`]: the choice of a structure that `[model] kind` names.

use pleiad_data::{InputLayout, TaskSpec, nearest};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::added::structures;
use super::layers::SHARED;
use super::registry::AnyArchitecture;
use super::{Architecture, Cgc};
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphBuilder};
use crate::interaction::Interaction;

/// `[model]`, or an entry of `[[compare.model]]` without its name: a structure and its sizes.
///
/// Read from a table whose `kind` names the structure; the other keys are that structure's own, but for `interaction`.
#[derive(Debug)]
pub struct ModelConfig {
    kind: &'static str,
    /// Crosses of features; `None` if nothing is said of them.
    interaction: Option<Interaction>,
    architecture: Box<dyn AnyArchitecture>,
}

impl ModelConfig {
    /// The structure's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Gives the model these crosses, unless it says itself which it has.
    pub fn inherit(&mut self, interaction: Interaction) {
        self.interaction.get_or_insert(interaction);
    }

    /// The graph of this model over the inputs of `layout`, with one prediction per task.
    ///
    /// # Errors
    /// [`Error::NoTasks`], [`Error::NoInputs`], [`Error::Config`] with the key that is wrong, [`Error::FieldWidths`], or a
    /// shape error.
    pub fn build(&self, layout: &InputLayout, tasks: &[TaskSpec]) -> Result<Graph> {
        if tasks.is_empty() {
            return Err(Error::NoTasks);
        }
        let mut graph = Graph::new(layout.clone());
        let crosses = self.interaction.unwrap_or(Interaction::None {});
        self.architecture.build(&mut GraphBuilder::new(&mut graph).crossing(crosses), tasks)?;
        graph.validate()?;
        Ok(graph)
    }

    /// The same structure with every width of its experts and bottoms times `factor`, rounded, and 1 at least; towers
    /// and counts stay. What brings models to one number of parameters.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self { architecture: self.architecture.scaled(factor), ..self.clone() }
    }

    /// The key below `[model]` that says how large the part of the graph at `scope` is, such as `levels.0.widths`; empty for
    /// what no key of `[model]` makes.
    #[must_use]
    pub fn key_of(&self, scope: &str) -> String {
        let parts: Vec<&str> = scope.split('.').collect();
        let part = |at: usize| parts.get(at).copied().unwrap_or_default();
        match part(0) {
            "interaction" => "interaction".to_owned(),
            "towers" => "tower".to_owned(),
            "bottom" | "bottoms" | "stitches" | "betas" | "transfers" | "attention" => "bottom".to_owned(),
            "experts" => "widths".to_owned(),
            "gates" => "experts".to_owned(),
            "levels" => {
                let key = match (part(2), part(3)) {
                    ("gates", _) => "experts",
                    (SHARED, "gate") => "shared_experts",
                    (_, "gate") => "task_experts",
                    _ => "widths",
                };
                if self.kind == Cgc::KIND { key.to_owned() } else { format!("levels.{}.{key}", part(1)) }
            }
            _ => String::new(),
        }
    }

    /// Names of the tasks that must be supervised on the entire space: see [`Architecture::entire_space`].
    #[must_use]
    pub fn entire_space(&self) -> &[String] {
        self.architecture.entire_space()
    }

    /// Names of the tasks whose events can only follow one another: see [`Architecture::funnel`].
    #[must_use]
    pub fn funnel(&self) -> &[String] {
        self.architecture.funnel()
    }

    /// The same model with what the tasks say where the configuration says nothing: see [`Architecture::completed`].
    #[must_use]
    pub fn completed(&self, tasks: &[TaskSpec]) -> Self {
        Self { architecture: self.architecture.completed(tasks), ..self.clone() }
    }

    /// The model whose keys, `kind` among them, are those of `table`.
    ///
    /// # Errors
    /// [`Error::Config`] if `kind` is missing or unknown, [`Error::Keys`] for keys that the structure does not take.
    pub fn from_table(mut table: Map<String, Value>) -> Result<Self> {
        let config = |key: &str, message: String| Error::Config { key: key.to_owned(), message };
        let known = structures();
        let kinds = || known.iter().map(|s| s.kind);
        let listed = || kinds().collect::<Vec<_>>().join(", ");
        let kind = match table.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(config("kind", format!("must be one of {}, found {other}", listed()))),
            None => return Err(config("kind", format!("is missing: one of {}", listed()))),
        };
        let Some(structure) = known.iter().find(|s| s.kind == kind) else {
            let near = nearest(&kind, kinds()).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
            return Err(config(
                "kind",
                format!("names the unknown structure {kind:?}{near} (there are: {})", listed()),
            ));
        };
        let interaction = table.remove("interaction").map(serde_json::from_value).transpose();
        let interaction = interaction.map_err(|error| config("interaction", error.to_string()))?;
        let architecture = (structure.parse)(Value::Object(table))
            .map_err(|error| Error::Keys { kind: structure.kind, message: error.to_string() })?;
        Ok(Self { kind: structure.kind, interaction, architecture })
    }
}

impl<A: Architecture> From<A> for ModelConfig {
    fn from(architecture: A) -> Self {
        Self { kind: A::KIND, interaction: None, architecture: Box::new(architecture) }
    }
}

impl Clone for ModelConfig {
    fn clone(&self) -> Self {
        Self { kind: self.kind, interaction: self.interaction, architecture: self.architecture.boxed() }
    }
}

impl PartialEq for ModelConfig {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.interaction) == (other.kind, other.interaction)
            && self.architecture.keys().ok() == other.architecture.keys().ok()
    }
}

impl Serialize for ModelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = Map::new();
        table.insert("kind".to_owned(), Value::String(self.kind.to_owned()));
        if let Value::Object(keys) = self.architecture.keys().map_err(serde::ser::Error::custom)? {
            table.extend(keys);
        }
        if let Some(interaction) = self.interaction {
            let interaction = serde_json::to_value(interaction).map_err(serde::ser::Error::custom)?;
            table.insert("interaction".to_owned(), interaction);
        }
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_table(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for ModelConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ModelConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let interaction = generator.subschema_for::<Interaction>().to_value();
        let structures: Vec<Schema> = structures()
            .iter()
            .map(|structure| {
                let mut schema = (structure.schema)(generator);
                let table = schema.ensure_object();
                // A structure without keys has none.
                if let Value::Object(properties) =
                    table.entry("properties").or_insert_with(|| Value::Object(Map::new()))
                {
                    properties.insert("kind".into(), serde_json::json!({ "const": structure.kind }));
                    properties.insert("interaction".into(), interaction.clone());
                }
                if let Value::Array(required) = table.entry("required").or_insert_with(|| Value::Array(Vec::new())) {
                    required.push("kind".into());
                }
                schema
            })
            .collect();
        schemars::json_schema!({ "oneOf": structures })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::registry::{REGISTRY, Structure};
    use super::super::testing::build;
    use super::*;

    fn parse(text: &str) -> Result<ModelConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn kinds_are_unique() {
        for (i, structure) in REGISTRY.iter().enumerate() {
            assert!(REGISTRY[..i].iter().all(|s| s.kind != structure.kind), "{} stands twice", structure.kind);
        }
    }

    /// Each has a section in `docs/structures.md`, with a picture and a configuration that makes a model.
    #[test]
    fn every_structure_is_documented() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/structures.md");
        let page = std::fs::read_to_string(page).unwrap();
        for Structure { kind, .. } in REGISTRY {
            let (_, section) = page.split_once(&format!("\n## {kind}\n")).unwrap();
            let section = section.split("\n## ").next().unwrap();
            assert!(section.contains("```mermaid"), "{kind} has no picture");
            let (_, block) = section.split_once("```toml\n").unwrap();
            let text = block.split("```").next().unwrap();
            assert_eq!(parse(text).unwrap().kind(), *kind);
            build(text, &["A", "B", "click", "purchase"]).unwrap();
        }
    }

    /// Default sizes are documented, and make a model.
    #[test]
    fn a_kind_alone_is_a_model_and_its_sizes_are_documented() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let page = std::fs::read_to_string(page).unwrap();
        for Structure { kind, .. } in REGISTRY {
            let alone = format!("kind = '{kind}'");
            build(&alone, &["click", "share", "time"]).unwrap();
            let line = page.lines().find_map(|line| line.strip_prefix(&format!("| `{kind}` alone | ")));
            let cell = line.unwrap_or_else(|| panic!("{kind} has no row of defaults")).trim_end_matches(" |");
            let keys = cell.replace("`, `", "\n").replace('`', "");
            assert_eq!(parse(&format!("{alone}\n{keys}")).unwrap(), parse(&alone).unwrap(), "{kind}: {keys}");
            assert!(keys.contains('='), "{kind}: {cell}");
        }
    }

    #[test]
    fn a_round_trip_keeps_every_key() {
        let text = "kind = 'mmoe'\nexperts = 3\nwidths = [8]\ntower = { default = [4], a = [] }\nactivation = 'tanh'";
        let crossed = format!("{text}\ninteraction = {{ kind = 'cross', layers = 3, rank = 2 }}");
        for text in [text, &crossed] {
            let model = parse(text).unwrap();
            let json = serde_json::to_string(&model).unwrap();
            assert_eq!(serde_json::from_str::<ModelConfig>(&json).unwrap(), model);
            assert_eq!(model.kind(), "mmoe");
            assert_eq!(json.contains("interaction"), text == crossed);
        }
        assert_ne!(parse(text).unwrap(), parse(&crossed).unwrap());
    }

    #[test]
    fn a_model_inherits_crosses_that_it_says_nothing_of_and_keeps_them_when_scaled() {
        let text = "kind = 'hard-sharing'\nbottom = [4]";
        let crosses = |keys: &str| format!("{text}\ninteraction = {{ {keys} }}");
        let cross = crosses("kind = 'cross', rank = 2");
        let mut model = parse(&cross).unwrap();
        let Some(interaction) = model.interaction else { panic!() };
        model.inherit(Interaction::None {});
        assert_eq!(model, parse(&cross).unwrap());
        let mut plain = parse(text).unwrap();
        plain.inherit(interaction);
        assert_eq!(plain, model);
        assert_eq!(plain.scaled(2.0).interaction, Some(interaction));
        let mut without = parse(&crosses("kind = 'none'")).unwrap();
        without.inherit(interaction);
        let tasks = pleiad_data::TaskSpec::new("a", pleiad_data::TaskKind::Binary);
        let inputs = vec![pleiad_data::Input::Numeric { name: "n".into(), column: 0 }];
        let graph = |model: &ModelConfig| {
            model.build(&InputLayout::new(inputs.clone()), std::slice::from_ref(&tasks)).map(|g| g.nodes.len())
        };
        assert_eq!(graph(&without).unwrap(), graph(&parse(text).unwrap()).unwrap());
        for wrong in ["kind = 'fmm'", "kind = 'fm', rank = 2", "kind = 'none', rank = 2", "kind = 'cross', ranks = 2"] {
            let message = parse(&crosses(wrong)).unwrap_err().to_string();
            assert!(message.contains("model.interaction: unknown"), "{wrong}: {message}");
        }
    }

    #[test]
    fn scaling_changes_widths_of_experts_and_bottoms_alone() {
        let levels = |widths: &str, default: &str| {
            format!(
                "kind = 'ple'\nlevels = [{{ task_experts = 2, shared_experts = 3, widths = {widths} }}, \
                 {{ task_experts = {{ a = 1, default = 2 }}, shared_experts = 1, \
                 widths = {{ default = {default}, shared = {widths} }} }}]\ntower = [8]\ndropout = 0.5"
            )
        };
        let cases = [
            (levels("[7, 4]", "[2, 4]"), 0.5, levels("[4, 2]", "[1, 2]")),
            (
                "kind = 'cgc'\ntask_experts = 2\nshared_experts = 1\nwidths = [8, 4]\ntower = [8]".into(),
                1.25,
                "kind = 'cgc'\ntask_experts = 2\nshared_experts = 1\nwidths = [10, 5]\ntower = [8]".into(),
            ),
            (
                "kind = 'mmoe'\nexperts = 3\nwidths = [8, 1]\ntower = [8]".into(),
                0.1,
                "kind = 'mmoe'\nexperts = 3\nwidths = [1, 1]\ntower = [8]".into(),
            ),
            (
                "kind = 'hard-sharing'\nbottom = [5]\ntower = { default = [8] }\nactivation = 'tanh'".into(),
                3.0,
                "kind = 'hard-sharing'\nbottom = [15]\ntower = { default = [8] }\nactivation = 'tanh'".into(),
            ),
            (
                "kind = 'single-task'\nbottom = { default = [4], a = [] }\ntower = [8]".into(),
                2.0,
                "kind = 'single-task'\nbottom = { default = [8], a = [] }\ntower = [8]".into(),
            ),
        ];
        for (text, factor, expected) in cases {
            let model: ModelConfig = parse(&text).unwrap();
            assert_eq!(model.scaled(factor), parse(&expected).unwrap(), "{text} times {factor}");
            assert_eq!(model.scaled(1.0), model, "{text}");
        }
        let tiny = parse("kind = 'hard-sharing'\nbottom = [5]").unwrap();
        let expected = parse("kind = 'hard-sharing'\nbottom = [1]").unwrap();
        for factor in [0.0, -3.0, f64::NAN] {
            assert_eq!(tiny.scaled(factor), expected, "times {factor}");
        }
    }

    #[test]
    fn every_parameter_leads_to_a_key_of_its_structure() {
        for (text, keys) in [
            (
                "kind = 'ple'\ngate_bias = true\ntower = [2]\nlevels = [{ task_experts = 1, shared_experts = 1, widths = [2] }, \
                 { task_experts = 1, shared_experts = 1, widths = [2] }]",
                "levels.0.widths levels.0.task_experts levels.0.shared_experts levels.1.widths levels.1.task_experts tower",
            ),
            ("kind = 'cgc'\ntask_experts = 1\nshared_experts = 1\nwidths = [2]", "widths task_experts tower"),
            ("kind = 'mmoe'\nexperts = 2\nwidths = [2]", "widths experts tower"),
            (
                "kind = 'ml-mmoe'\nlevels = [{ experts = 2, widths = [2] }, { experts = 1, widths = [2] }]",
                "levels.0.experts levels.0.widths levels.1.experts levels.1.widths tower",
            ),
            ("kind = 'sluice'\nbottom = [2, 2]", "bottom tower"),
            ("kind = 'aitm'\nfunnel = ['a', 'b']\nbottom = [2]", "bottom tower"),
            ("kind = 'customized-sharing'\nbottom = [2]", "bottom tower"),
            ("kind = 'single-task'\nbottom = [2]", "bottom tower"),
        ] {
            let model = parse(text).unwrap();
            let graph = build(text, &["a", "b"]).unwrap();
            let found: std::collections::BTreeSet<String> =
                graph.params.iter().map(|param| model.key_of(&param.name)).collect();
            let expected: std::collections::BTreeSet<String> = keys.split(' ').map(str::to_owned).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_model_of_too_many_parts_is_refused_before_it_fills_memory() {
        let level = "{ experts = 1024, widths = [1] }";
        let message = build(&format!("kind = 'ml-mmoe'\nlevels = [{}]", [level; 4].join(", ")), &["a"]);
        assert!(message.unwrap_err().to_string().contains("more than 2097152 pairs of a gate and an expert"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("kind = 'mmoo'\nexperts = 3", "did you mean \"mmoe\"?"),
            ("experts = 3", "model.kind: is missing"),
            ("kind = 3", "model.kind: must be one of"),
            ("kind = 'mmoe'\nexperts = 3\nwidth = [4]", "unknown field `width`"),
            ("kind = 'mmoe'\nexperts = 'three'\nwidths = [4]", "invalid type: string \"three\""),
            ("kind = 'ml-mmoe'\nlevels = [4]", "invalid type: integer `4`"),
            ("kind = 'mmoe'\nexperts = 2\nwidths = [4]\nactivation = 'rely'", "unknown variant `rely`"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
