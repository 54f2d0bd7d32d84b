//! Figure 8 of the PLE paper: how each gate spreads its weight over its experts, with deviations.

use maud::{Markup, html};

use super::plot::{WIDTH, px, svg, swatches};
use crate::format;
use crate::page::{figure, table};
use pleiad_train::explain::GateUtilisation;

const BAR: f64 = 30.0;
/// Height of a gate: its name, its bar, the strip of deviations below.
const ROW: f64 = 77.0;

/// One picture for the gates of each level, or of the model.
pub(crate) fn utilisation(gates: &[GateUtilisation], tasks: &[&str]) -> Markup {
    let mut groups: Vec<(&str, Vec<&GateUtilisation>)> = Vec::new();
    for gate in gates {
        let group = group_of(&gate.gate);
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, gates)) => gates.push(gate),
            None => groups.push((group, vec![gate])),
        }
    }
    html! { div.grid { @for (name, gates) in &groups { (picture(name, gates, tasks)) } } }
}

/// `levels.0` of `levels.0.income.gate`, `gates` of `gates.income`.
fn group_of(scope: &str) -> &str {
    let mut parts = scope.match_indices('.').map(|(at, _)| at);
    match (parts.next(), parts.next()) {
        (Some(first), Some(second)) if scope[first + 1..second].bytes().all(|byte| byte.is_ascii_digit()) => {
            &scope[..second]
        }
        (Some(first), _) => &scope[..first],
        _ => scope,
    }
}

/// `income` of `levels.0.income.gate`.
fn gate_name<'g>(scope: &'g str, group: &str) -> &'g str {
    let rest = scope.strip_prefix(group).map_or(scope, |rest| rest.trim_start_matches('.'));
    let rest = rest.strip_prefix("gates.").unwrap_or(rest);
    let rest = rest.strip_suffix(".gate").unwrap_or(rest);
    if rest.is_empty() { scope } else { rest }
}

/// `income 0` of `levels.0.income.experts.0` among the experts of one gate: what they do not have in common.
fn expert_name(name: &str, all: &[&str]) -> String {
    let parts = |name: &str| name.split('.').map(str::to_owned).collect::<Vec<_>>();
    let own = parts(name);
    let common = (0..own.len())
        .take_while(|&i| all.iter().all(|other| other.split('.').nth(i) == Some(own[i].as_str())))
        .count()
        .min(own.len().saturating_sub(1));
    let rest: Vec<&str> = own[common..].iter().map(String::as_str).filter(|part| *part != "experts").collect();
    match rest.as_slice() {
        [] => name.to_owned(),
        [number] if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("expert {number}"),
        rest => rest.join(" "),
    }
}

/// The class of an expert: its task's colour, grey if it is shared among tasks, colours in turn where no expert belongs
/// to a task.
fn class_of(at: usize, name: &str, all: &[&str], tasks: &[&str]) -> String {
    match tasks.iter().position(|task| owned(name, &[task])) {
        Some(task) => format!("s{}", task % 8),
        None if all.iter().any(|other| owned(other, tasks)) => "shared".to_owned(),
        None => format!("s{}", at % 8),
    }
}

fn owned(name: &str, tasks: &[&str]) -> bool {
    name.split('.').any(|part| tasks.contains(&part))
}

fn names(gate: &GateUtilisation) -> Vec<&str> {
    gate.experts.iter().map(|expert| expert.expert.as_str()).collect()
}

fn picture(name: &str, gates: &[&GateUtilisation], tasks: &[&str]) -> Markup {
    let rows = gates.first().map_or(0, |gate| gate.rows);
    let title = format!("Use of experts by the gates of {name}");
    let body = html! {
        @for (i, gate) in gates.iter().enumerate() { (bar(gate, name, i as f64 * ROW, tasks)) }
    };
    // Where colours stand for experts and not for tasks, names do not always fit into the bars.
    let first: Vec<&str> = gates.first().map_or_else(Vec::new, |gate| names(gate));
    let by_expert = gates.iter().all(|gate| names(gate) == first) && !first.iter().any(|name| owned(name, tasks));
    let key: Vec<(String, String)> = first
        .iter()
        .enumerate()
        .map(|(at, name)| (class_of(at, name, &first, tasks), expert_name(name, &first)))
        .collect();
    let picture = svg(
        gates.len() as f64 * ROW - 8.0,
        &title,
        "One bar per gate, cut by the mean weight of its experts; lines below are one standard deviation to both sides.",
        &body,
    );
    let picture = html! { (picture) @if by_expert { (swatches(&key)) } };
    let numbers = gates.iter().flat_map(|gate| {
        gate.experts.iter().map(|expert| {
            vec![
                gate.gate.clone().into(),
                expert.expert.clone().into(),
                format!("{:.4}", expert.mean).into(),
                format!("{:.4}", expert.sd).into(),
                format!("{:.4}", expert.min).into(),
                format!("{:.4}", expert.max).into(),
            ]
        })
    });
    let table = table(&title, &["gate", "expert", "mean", "sd", "min", "max"], numbers);
    figure(name, &format!("mean weight over {}, deviations below", format::plural(rows, "row")), &picture, &table)
}

fn bar(gate: &GateUtilisation, group: &str, top: f64, tasks: &[&str]) -> Markup {
    let names = names(gate);
    let mut x = 0.0;
    let segments: Vec<_> = gate
        .experts
        .iter()
        .enumerate()
        .map(|(at, expert)| {
            let (from, width) = (x, expert.mean.clamp(0.0, 1.0) * WIDTH);
            x += width;
            let name = expert_name(&expert.expert, &names);
            (from, width, name, class_of(at, &expert.expert, &names, tasks), expert, at)
        })
        .collect();
    let y = top + 16.0;
    html! {
        text.b x="0" y=(px(top + 11.0)) { (format::clipped(gate_name(&gate.gate, group), 40)) }
        @for (from, width, name, class, expert, at) in &segments {
            g class=(class) {
                rect.fill.cut x=(px(*from)) y=(px(y)) width=(px(*width)) height=(px(BAR)) {
                    title { (expert.expert) ": " (format::percent(expert.mean)) ", sd " (format::percent(expert.sd)) }
                }
                @if *width > 5.4 * name.chars().count() as f64 + 8.0 {
                    text.on.mid x=(px(from + width / 2.0)) y=(px(y + 12.5)) font-size="10" { (name) }
                }
                @if *width > 26.0 {
                    text.on.mid.b x=(px(from + width / 2.0)) y=(px(y + 24.5)) font-size="10.5" {
                        (format!("{:.0}%", 100.0 * expert.mean))
                    }
                }
                (deviation(from + width, expert.sd * WIDTH, y + BAR + 5.0 + 5.0 * (at % 3) as f64))
            }
        }
    }
}

/// From one standard deviation before the end of a segment to one after it.
fn deviation(end: f64, sd: f64, y: f64) -> Markup {
    let (from, to) = ((end - sd).max(0.0), (end + sd).min(WIDTH));
    html! {
        path.thin d=(format!("M{} {}H{}M{} {}v4M{} {}v4", px(from), px(y), px(to), px(from), px(y - 2.0), px(to), px(y - 2.0))) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_tells_them_apart() {
        assert_eq!(group_of("levels.0.income.gate"), "levels.0");
        assert_eq!(group_of("gates.income"), "gates");
        assert_eq!(gate_name("levels.0.income.gate", "levels.0"), "income");
        assert_eq!(gate_name("levels.0.gates.3", "levels.0"), "3");
        assert_eq!(gate_name("gates.income", "gates"), "income");
        let ple = ["levels.0.a.experts.0", "levels.0.a.experts.1", "levels.0.shared.experts.0"];
        assert_eq!(ple.map(|name| expert_name(name, &ple)), ["a 0", "a 1", "shared 0"]);
        let mmoe = ["experts.0", "experts.1"];
        assert_eq!(mmoe.map(|name| expert_name(name, &mmoe)), ["expert 0", "expert 1"]);
        assert_eq!(expert_name("only.one", &["only.one"]), "one");
        let aitm = ["attention.buy.transfer", "attention.buy.own"];
        assert_eq!(aitm.map(|name| expert_name(name, &aitm)), ["transfer", "own"]);
    }

    #[test]
    fn colours_tell_owners() {
        let ple = ["levels.0.b.experts.0", "levels.0.shared.experts.0"];
        assert_eq!(class_of(0, ple[0], &ple, &["a", "b"]), "s1");
        assert_eq!(class_of(1, ple[1], &ple, &["a", "b"]), "shared");
        assert_eq!(class_of(9, "experts.9", &["experts.9"], &["a"]), "s1");
    }
}
