//! The drawing of the model: modules in rows, columns by task, shared modules in the middle.

use maud::{Markup, html};
use pleiad_model::Graph;

use super::plot::px;
use crate::format;
use crate::page::{TableCell, table};
use crate::structure::{Edge, Module, ModuleKind, Structure};

const BOX: (f64, f64) = (118.0, 38.0);
/// Between boxes of a row, and between rows.
const GAP: (f64, f64) = (26.0, 40.0);
const MARGIN: f64 = 16.0;

/// The picture and its table.
pub(crate) fn graph(graph: &Graph) -> Markup {
    let structure = Structure::of(graph);
    let tasks: Vec<&str> = graph.outputs.iter().map(|output| output.task.as_str()).collect();
    let places = Places::of(&structure, tasks.len());
    let (width, height) = places.size;
    html! {
        figure.wide {
            figcaption { small { "Solid arrows are passed on, dashed ones are read by a gate to choose." } }
            div.scroll tabindex="0" role="group" aria-label="Structure of the model" {
                svg viewBox={ "0 0 " (px(width)) " " (px(height)) } width=(px(width)) height=(px(height)) role="img" {
                    title { "Modules of the model" }
                    desc { "From the features above to the tasks below; the table lists every module and what it reads." }
                    @for edge in &structure.edges { (arrow(edge, &structure, &places)) }
                    @for (at, module) in structure.modules.iter().enumerate() { (draw(module, &places, at, &tasks)) }
                }
            }
            details { summary { "Numbers" } (numbers(&structure)) }
        }
    }
}

/// Upper left corner and width of every box.
struct Places {
    boxes: Vec<(f64, f64, f64)>,
    size: (f64, f64),
}

impl Places {
    fn of(structure: &Structure, tasks: usize) -> Self {
        let modules = &structure.modules;
        let row = |module: &Module| modules.iter().filter(|other| other.rank == module.rank).count();
        // A shared box beside others needs a column of its own; alone in its row it stands in the middle.
        let shared = modules.iter().any(|module| module.owner.is_none() && row(module) > 1);
        let middle = tasks.div_ceil(2);
        let column = |module: &Module| match module.owner {
            Some(task) if shared && task >= middle => task + 1,
            Some(task) => task,
            None => middle,
        };
        let columns = tasks + usize::from(shared);
        // Boxes of one column and row stand side by side.
        let mut beside = vec![0; modules.len()];
        let mut wide = vec![1; columns.max(1)];
        let placed = |module: &Module| row(module) > 1 || module.owner.is_some();
        for (at, module) in modules.iter().enumerate().filter(|(_, module)| placed(module)) {
            let like = |other: &&Module| other.rank == module.rank && column(other) == column(module);
            beside[at] = modules[..at].iter().filter(like).count();
            wide[column(module)] = wide[column(module)].max(beside[at] + 1);
        }
        let step = BOX.0 + GAP.0;
        let left = |column: usize| MARGIN + step * wide[..column].iter().sum::<usize>() as f64;
        let width = (left(wide.len()) - GAP.0 + MARGIN).max(3.0 * BOX.0);
        let place = |(at, module): (usize, &Module)| {
            let y = MARGIN + module.rank as f64 * (BOX.1 + GAP.1);
            match module.kind {
                ModuleKind::Inputs => (MARGIN, y, width - 2.0 * MARGIN),
                _ if row(module) == 1 && module.owner.is_none() => ((width - BOX.0) / 2.0, y, BOX.0),
                _ => {
                    let at_left = left(column(module)) + step * beside[at] as f64;
                    let used = modules.iter().filter(|o| o.rank == module.rank && column(o) == column(module)).count();
                    (at_left + step * (wide[column(module)] - used) as f64 / 2.0, y, BOX.0)
                }
            }
        };
        let rows = modules.iter().map(|module| module.rank + 1).max().unwrap_or(1);
        let height = 2.0 * MARGIN + rows as f64 * (BOX.1 + GAP.1) - GAP.1;
        Self { boxes: modules.iter().enumerate().map(place).collect(), size: (width, height) }
    }
}

fn stacked(module: &Module) -> bool {
    module.members > 1 && module.kind == ModuleKind::Module
}

fn class(owner: Option<usize>) -> String {
    owner.map_or_else(|| "shared".to_owned(), |task| format!("s{}", task % 8))
}

fn draw(module: &Module, places: &Places, at: usize, tasks: &[&str]) -> Markup {
    let (x, y, width) = places.boxes[at];
    let widths = module.widths.iter().map(usize::to_string).collect::<Vec<_>>().join("→");
    let (first, second) = match module.kind {
        ModuleKind::Inputs => (format::plural(module.members as u64, "feature"), format!("{widths} numbers wide")),
        ModuleKind::Task => (module.label.clone(), "prediction".to_owned()),
        ModuleKind::Module => {
            let first = match module.members {
                1 => module.label.clone(),
                many => format!("{many} {}", module.label),
            };
            let first = if widths.is_empty() || module.label.starts_with("gate") {
                first
            } else {
                format!("{first} · {widths}")
            };
            (first, module.owner.map_or("shared", |task| tasks.get(task).copied().unwrap_or_default()).to_owned())
        }
    };
    let middle = px(x + width / 2.0);
    html! {
        g class=(class(module.owner)) {
            title { (module.scope) ", " (format::plural(module.parameters, "parameter")) }
            @if stacked(module) {
                rect.behind x=(px(x + 5.0)) y=(px(y - 5.0)) width=(px(width)) height=(px(BOX.1)) rx="7" {}
            }
            rect.box x=(px(x)) y=(px(y)) width=(px(width)) height=(px(BOX.1)) rx=(if module.kind == ModuleKind::Task { "19" } else { "7" }) {}
            text.mid.b x=(middle) y=(px(y + 16.0)) { (format::clipped(&first, 19)) }
            text.mid.m x=(middle) y=(px(y + 30.0)) { (format::clipped(&second, 19)) }
        }
    }
}

fn arrow(edge: &Edge, structure: &Structure, places: &Places) -> Markup {
    let (from, to) = (&structure.modules[edge.from], &structure.modules[edge.to]);
    let ((fx, fy, fw), (tx, ty, tw)) = (places.boxes[edge.from], places.boxes[edge.to]);
    let target = tx + tw / 2.0;
    // Where there are several, the second one looks out above.
    let top = if stacked(to) { ty - 5.0 } else { ty };
    let (sx, sy) = (if from.kind == ModuleKind::Inputs { target } else { fx + fw / 2.0 }, fy + BOX.1);
    let (line, tip) = if to.rank == from.rank + 1
        || (from.kind != ModuleKind::Inputs && to.kind == ModuleKind::Task && (sx - target).abs() < 1.0)
    {
        let half = (top - sy) / 2.0;
        let line = format!(
            "M{} {}C{} {} {} {} {} {}",
            px(sx),
            px(sy),
            px(sx),
            px(sy + half),
            px(target),
            px(top - half),
            px(target),
            px(top - 5.0)
        );
        (line, format!("M{} {}l-4 -7h8Z", px(target), px(top)))
    } else {
        // Past the boxes in between, along the left side of the column.
        let (gutter, middle) = (tx - GAP.0 / 2.0, ty + BOX.1 / 2.0);
        let start = if from.kind == ModuleKind::Inputs {
            format!("M{} {}", px(gutter), px(sy))
        } else {
            let (a, b) = (sy + GAP.1 * 0.45, sy + GAP.1 * 0.9);
            format!("M{} {}C{} {} {} {} {} {}", px(sx), px(sy), px(sx), px(a), px(gutter), px(a), px(gutter), px(b))
        };
        let (before, after) = (middle - 8.0, gutter + 8.0);
        let line = format!(
            "{start}V{}Q{} {} {} {}H{}",
            px(before),
            px(gutter),
            px(middle),
            px(after),
            px(middle),
            px(tx - 5.0)
        );
        (line, format!("M{} {}l-7 -4v8Z", px(tx), px(middle)))
    };
    let owner = if from.kind == ModuleKind::Inputs { to.owner } else { from.owner };
    html! {
        g class=(class(owner)) {
            @if edge.selects { path.edge.select d=(line) {} } @else { path.edge d=(line) {} }
            path.tip d=(tip) {}
        }
    }
}

fn numbers(structure: &Structure) -> Markup {
    let name = |at: usize| structure.modules[at].scope.clone();
    let rows = structure.modules.iter().enumerate().filter(|(_, module)| module.kind != ModuleKind::Task).map(
        |(at, module)| {
            let widths: Vec<String> = module.widths.iter().map(usize::to_string).collect();
            vec![
                TableCell::Text(module.scope.clone()),
                format::count(module.members as u64).into(),
                widths.join(", ").into(),
                format::count(module.parameters).into(),
                TableCell::Text(structure.read_by(at).into_iter().map(name).collect::<Vec<_>>().join(", ")),
            ]
        },
    );
    table("Modules of the model", &["module", "members", "layer widths", "parameters", "reads"], rows)
}
