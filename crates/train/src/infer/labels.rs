//! What is to be predicted: the columns that the user names, or those that look like labels.

use super::profile::{NONE, Profile, ValueKind};
use super::quote::{count, quoted, shown};
use super::{InferProblem, words};

/// A task.
#[derive(Debug)]
pub(super) struct Label {
    /// Its column.
    pub(super) at: usize,
    pub(super) name: String,
    /// Value of the positive rows; `None` for a regression.
    pub(super) positive: Option<Positive>,
    /// The column of its sample space, and the value there.
    pub(super) within: Option<(usize, Positive)>,
    /// Whether a missing label is 0.
    pub(super) missing_is_zero: bool,
    /// Whether a regression is trained on the logarithm.
    pub(super) log: bool,
    /// What was seen, for a comment.
    pub(super) why: String,
    /// The label of each row, where it is in the sample space and has one.
    pub(super) truth: Vec<Option<f64>>,
}

/// The value of positive rows.
#[derive(Debug, Clone)]
pub(super) struct Positive {
    pub(super) code: u32,
    /// As a configuration has it.
    pub(super) written: String,
    /// Whether it is what a label means where nothing is said.
    pub(super) is_plain: bool,
}

impl Label {
    /// Positive and negative rows; of a regression all rows, twice.
    pub(super) fn sides(&self) -> (usize, usize) {
        let rows = self.truth.iter().flatten().count();
        match self.positive {
            None => (rows, rows),
            Some(_) => {
                let positives = self.truth.iter().flatten().filter(|&&truth| truth == 1.0).count();
                (positives, rows - positives)
            }
        }
    }
}

/// What a `--label` says: `column`, `column=positive`, and `:space` behind either.
struct Wish {
    at: usize,
    positive: Option<String>,
    within: Option<usize>,
}

fn wish(text: &str, profiles: &[Profile]) -> Result<Wish, InferProblem> {
    let at = |name: &str| profiles.iter().position(|profile| profile.name == name);
    let of_label = |text: &str| {
        if let Some(at) = at(text) {
            return Some((at, None));
        }
        let signs = text.match_indices('=').map(|(sign, _)| sign);
        signs.rev().find_map(|sign| Some((at(&text[..sign])?, Some(text[sign + 1..].to_owned()))))
    };
    if let Some((at, positive)) = of_label(text) {
        return Ok(Wish { at, positive, within: None });
    }
    let colons = text.match_indices(':').map(|(colon, _)| colon);
    let split = colons.rev().find_map(|colon| Some((of_label(&text[..colon])?, at(&text[colon + 1..])?)));
    if let Some(((at, positive), within)) = split {
        return Ok(Wish { at, positive, within: Some(within) });
    }
    let (name, space) = text.rsplit_once(':').map_or((text, None), |(name, space)| (name, Some(space)));
    let missing = match (of_label(name), space) {
        (Some(_), Some(space)) => space,
        _ => name,
    };
    Err(InferProblem::NoColumn {
        label: text.to_owned(),
        column: missing.to_owned(),
        nearest: pleiad_data::nearest(missing, profiles.iter().map(|profile| profile.name.as_str())),
    })
}

/// The positive value of a column that has two.
fn positive_of(profile: &Profile) -> Option<Positive> {
    let [a, b] = profile.values.as_slice() else { return None };
    let of = |text: &str| [a, b].iter().position(|value| value.text == text);
    for (negative, positive) in [("0", "1"), ("false", "true")] {
        if let (Some(_), Some(code)) = (of(negative), of(positive)) {
            return Some(Positive { code: code as u32, written: positive.to_owned(), is_plain: true });
        }
    }
    let second = match (a.number, b.number) {
        (Some(a), Some(b)) => b > a,
        // The rarer one.
        _ => (b.count, &b.text) < (a.count, &a.text),
    };
    Some(positive(profile, usize::from(second)))
}

fn positive(profile: &Profile, code: usize) -> Positive {
    let text = &profile.values[code].text;
    let is_plain = ["1", "true"].contains(&text.as_str());
    let written =
        if is_plain || profile.is_number() && text.parse::<i64>().is_ok() { text.clone() } else { quoted(text) };
    Positive { code: code as u32, written, is_plain }
}

fn is_zero_or_one(profile: &Profile) -> bool {
    profile.refused.is_none() && positive_of(profile).is_some_and(|positive| positive.is_plain)
}

fn is_amount(profile: &Profile) -> bool {
    profile.refused.is_none()
        && profile.is_number()
        && profile.distinct() > 2
        && profile.infinite == 0
        && !profile.is_wild
}

/// The tasks that were asked for, or all columns that are labels by name and values.
///
/// # Errors
/// A wish that cannot be, and a table whose labels are not to be seen.
pub(super) fn find(profiles: &[Profile], wishes: &[String]) -> Result<Vec<Label>, InferProblem> {
    let wishes: Vec<Wish> = if wishes.is_empty() {
        let is_obvious = |profile: &Profile| {
            is_zero_or_one(profile) && words::is_event(&profile.name)
                || is_amount(profile) && words::is_amount(&profile.name)
        };
        let obvious = profiles.iter().enumerate().filter(|(_, profile)| is_obvious(profile));
        obvious.map(|(at, _)| Wish { at, positive: None, within: None }).collect()
    } else {
        wishes.iter().map(|text| wish(text, profiles)).collect::<Result<_, _>>()?
    };
    if wishes.is_empty() {
        return Err(InferProblem::NoLabel { candidates: candidates(profiles) });
    }
    let mut labels: Vec<Label> = Vec::with_capacity(wishes.len());
    for wish in wishes {
        if labels.iter().any(|label| label.at == wish.at) {
            return Err(InferProblem::Label {
                column: profiles[wish.at].name.clone(),
                reason: "it is named twice".to_owned(),
            });
        }
        let mut label = label(profiles, &wish)?;
        unique(&mut label.name, &labels);
        labels.push(label);
    }
    find_spaces(profiles, &mut labels);
    for label in &mut labels {
        label.truth = truth(profiles, label);
        describe(&profiles[label.at], label)?;
    }
    Ok(labels)
}

fn label(profiles: &[Profile], wish: &Wish) -> Result<Label, InferProblem> {
    let profile = &profiles[wish.at];
    let refuse = |reason: String| InferProblem::Label { column: profile.name.clone(), reason };
    if let Some(reason) = &profile.refused {
        return Err(refuse(format!("it {reason}")));
    }
    if profile.name.is_empty() {
        return Err(refuse("it has no name".to_owned()));
    }
    let only_one = || (profile.distinct() == 1 && profile.missing() > 0).then(|| positive(profile, 0));
    let only_one = only_one().filter(|positive| positive.is_plain);
    let missing_is_zero = wish.positive.is_none() && only_one.is_some();
    let chosen = match &wish.positive {
        Some(text) => {
            let code = profile.values.iter().position(|value| value.text == *text);
            let code =
                code.ok_or_else(|| refuse(format!("no row that was read has {}: {}", quoted(text), values(profile))))?;
            Some(positive(profile, code))
        }
        None => only_one.or_else(|| positive_of(profile)),
    };
    if chosen.is_none() && profile.distinct() < 2 {
        let what =
            profile.values.first().map_or("has no value".to_owned(), |value| format!("is {}", shown(&value.text)));
        return Err(refuse(format!(
            "it {what} in all {} rows that were read, so there is nothing to learn",
            count(profile.rows)
        )));
    }
    if chosen.is_none() && !is_amount(profile) {
        let commonest = profile.commonest().map(|value| value.text.clone()).unwrap_or_default();
        return Err(refuse(if profile.is_number() {
            "it has numbers that are infinite, or too large to learn".to_owned()
        } else if profile.kind == ValueKind::List || profile.kind == ValueKind::Time {
            "its values are neither numbers nor two categories".to_owned()
        } else {
            let example = format!("{}={commonest}", profile.name);
            format!("{}; say which is the positive one, as in --label {}", values(profile), super::shell(&example))
        }));
    }
    let within = wish.within.map(|at| space(profiles, wish.at, at)).transpose()?;
    let name = task_name(&profile.name);
    let log = chosen.is_none() && profile.range().0 >= 0.0 && profile.range().1 > 100.0 && profile.skewness() > 2.0;
    let truth = Vec::new();
    Ok(Label { at: wish.at, name, positive: chosen, within, missing_is_zero, log, why: String::new(), truth })
}

/// The sample space of a label, which is said of it.
fn space(profiles: &[Profile], label: usize, at: usize) -> Result<(usize, Positive), InferProblem> {
    let refuse = |reason: &str| InferProblem::Label { column: profiles[at].name.clone(), reason: reason.to_owned() };
    if at == label {
        return Err(refuse("it cannot be its own sample space"));
    }
    match positive_of(&profiles[at]) {
        Some(positive) if profiles[at].refused.is_none() => Ok((at, positive)),
        _ => Err(refuse("a sample space is the rows of one of two values, and it has not two")),
    }
}

/// Gives a label the sample space that its missing values show: it has a value where another label is positive, and nowhere
/// else.
fn find_spaces(profiles: &[Profile], labels: &mut [Label]) {
    for at in 0..labels.len() {
        let own = &profiles[labels[at].at];
        if labels[at].within.is_some() || labels[at].missing_is_zero || own.missing() == 0 || own.codes.is_empty() {
            continue;
        }
        let is_space = |other: &Label, positive: &Positive| {
            let codes = own.codes.iter().zip(&profiles[other.at].codes);
            let mut missed = 0;
            for (&own, &other) in codes {
                match (own != NONE, other == positive.code) {
                    (true, false) => return false,
                    (false, true) => missed += 1,
                    _ => {}
                }
            }
            missed * 20 <= own.present
        };
        let others = (0..labels.len()).filter(|&other| other != at && labels[other].within.is_none());
        let found = others.into_iter().find_map(|other| {
            let positive = labels[other].positive.as_ref()?;
            is_space(&labels[other], positive).then(|| (labels[other].at, positive.clone()))
        });
        labels[at].within = found;
    }
}

fn truth(profiles: &[Profile], label: &Label) -> Vec<Option<f64>> {
    let own = &profiles[label.at];
    let truth = |row: usize| {
        if label.within.as_ref().is_some_and(|(at, positive)| profiles[*at].codes.get(row) != Some(&positive.code)) {
            return None;
        }
        match (*own.codes.get(row)?, &label.positive) {
            (NONE, _) => label.missing_is_zero.then_some(0.0),
            (code, Some(positive)) => Some(f64::from(u8::from(code == positive.code))),
            (code, None) => own.values.get(code as usize)?.number,
        }
    };
    (0..own.rows).map(truth).collect()
}

fn describe(profile: &Profile, label: &mut Label) -> Result<(), InferProblem> {
    let (positives, negatives) = label.sides();
    let rows = if label.positive.is_some() { positives + negatives } else { positives };
    let refuse = |reason: String| InferProblem::Label { column: profile.name.clone(), reason };
    let space = if label.within.is_some() { " in its sample space" } else { "" };
    if label.positive.is_none() {
        let (least, most) = profile.range();
        if rows < 2 {
            return Err(refuse(format!("{rows} of the rows that were read have a value{space}")));
        }
        label.why = format!("numbers from {least} to {most}, in {} rows{space}", count(rows));
        return Ok(());
    }
    if positives == 0 || negatives == 0 {
        let side = if positives == 0 { "positive" } else { "negative" };
        return Err(refuse(format!("none of the {} rows that were read{space} is {side}", count(rows))));
    }
    let share = 100.0 * positives as f64 / rows as f64;
    label.why = format!("{} of {} rows{space} are positive ({share:.2} %)", count(positives), count(rows));
    Ok(())
}

/// Some values, for a message.
fn values(profile: &Profile) -> String {
    let mut values: Vec<_> = profile.values.iter().collect();
    values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    let some: Vec<String> = values.iter().take(3).map(|value| shown(&value.text)).collect();
    format!("it has {} values, such as {}", count(values.len()), some.join(", "))
}

/// Columns that may be labels, the likeliest first, each with what speaks for it.
fn candidates(profiles: &[Profile]) -> Vec<(String, String)> {
    let rate = |profile: &Profile| {
        let positive = positive_of(profile).map_or(0, |positive| profile.values[positive.code as usize].count);
        100.0 * positive as f64 / profile.present.max(1) as f64
    };
    let mut found: Vec<(u8, String, String)> = Vec::new();
    for (at, profile) in profiles.iter().enumerate() {
        let is_last = at + 1 == profiles.len();
        if profile.refused.is_some() || profile.name.is_empty() {
            continue;
        }
        if profile.distinct() == 2 && positive_of(profile).is_some() && profile.kind != ValueKind::List {
            let why = format!("two values, {:.2} % positive", rate(profile));
            let rank = match (is_last, is_zero_or_one(profile), rate(profile) < 35.0) {
                (true, ..) => 0,
                (_, true, true) => 1,
                _ => 2,
            };
            found.push((rank, profile.name.clone(), why));
        } else if is_amount(profile) && (is_last || words::is_after(&profile.name)) {
            found.push((if is_last { 1 } else { 2 }, profile.name.clone(), "numbers".to_owned()));
        }
    }
    found.sort_by_key(|(rank, ..)| *rank);
    found.into_iter().map(|(_, name, why)| (name, why)).collect()
}

/// A task's name, of its column's.
fn task_name(column: &str) -> String {
    let name = column.replace('.', "_");
    if ["shared", "default"].contains(&name.as_str()) { format!("{name}_task") } else { name }
}

fn unique(name: &mut String, labels: &[Label]) {
    while labels.iter().any(|label| label.name == *name) {
        name.push('_');
    }
}
