//! The frame of a report: head, style, headline, links to sections, tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use pleiad_model::artifact::Provenance;

use super::format;
use pleiad_train::config::ConfigFile;

const STYLE: &str = include_str!("style.css");

/// A part of the page with a heading, or nothing.
pub(super) struct Section {
    id: &'static str,
    title: &'static str,
    hint: String,
    body: Markup,
}

impl Section {
    /// A section that says in a sentence how to read what it shows.
    pub(super) fn new(id: &'static str, title: &'static str, hint: impl Into<String>, body: Markup) -> Self {
        Self { id, title, hint: hint.into(), body }
    }
}

/// A whole document: a headline, links, sections.
pub(super) fn document(title: &str, headline: &Markup, sections: &[Section], provenance: &Provenance) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(provenance.created_by);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (headline) }
                nav aria-label="Sections" {
                    ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main {
                    @for section in sections {
                        section id=(section.id) {
                            h2 { (section.title) }
                            @if !section.hint.is_empty() { p.hint { (section.hint) } }
                            (section.body)
                        }
                    }
                }
                footer {
                    (provenance.created_by)
                    @if let Some(created) = &provenance.created { ", " time datetime=(created) { (created) } }
                }
            }
        }
    };
    page.into_string()
}

/// A cell of a table.
pub(super) enum TableCell {
    /// A number or a short word, to the right.
    Figure(String),
    /// Words, to the left.
    Text(String),
}

impl<S: Into<String>> From<S> for TableCell {
    fn from(text: S) -> Self {
        Self::Figure(text.into())
    }
}

/// A table; the first cell of each row is its heading.
pub(super) fn table(caption: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<TableCell>>) -> Markup {
    table_of("", caption, header, rows)
}

/// A table whose cells stand below their row's name, each with its heading, where the screen is too narrow.
pub(super) fn stacked(caption: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<TableCell>>) -> Markup {
    table_of("stack-small", caption, header, rows)
}

fn table_of(class: &str, caption: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<TableCell>>) -> Markup {
    let cell = |cell: &TableCell, heading: &str| match cell {
        TableCell::Figure(text) => html! { td data-label=(heading) { (text) } },
        TableCell::Text(text) => html! { td.text data-label=(heading) { (text) } },
    };
    let heading = |cell: &TableCell| match cell {
        TableCell::Figure(text) | TableCell::Text(text) => html! { th scope="row" { (text) } },
    };
    let rows: Vec<Vec<TableCell>> = rows.into_iter().collect();
    // A heading stands over words as words do.
    let words = |column: usize| rows.first().is_some_and(|row| matches!(row.get(column), Some(TableCell::Text(_))));
    html! {
        div.table tabindex="0" role="group" aria-label=(caption) {
            table class=(class) {
                caption { (caption) }
                thead { tr { @for (i, name) in header.iter().enumerate() { th.text[words(i)] scope="col" { (name) } } } }
                tbody {
                    @for row in &rows {
                        tr {
                            @if let Some(first) = row.first() { (heading(first)) }
                            @for (other, name) in row.iter().zip(header).skip(1) { (cell(other, name)) }
                        }
                    }
                }
            }
        }
    }
}

/// A picture with its numbers right below.
pub(super) fn figure(title: &str, small: &str, picture: &Markup, numbers: &Markup) -> Markup {
    html! {
        figure {
            figcaption { (title) @if !small.is_empty() { small { (small) } } }
            (picture)
            details { summary { "Numbers" } (numbers) }
        }
    }
}

/// Pairs of a name and what it stands for.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! { dl { @for (name, value) in facts { dt { (name) } dd { (value) } } } }
}

/// The configuration as it was read.
pub(super) fn configuration(config: &ConfigFile) -> Markup {
    let sets: Vec<&str> = config.sets().collect();
    html! {
        @if !sets.is_empty() {
            p { "Changed from the shell:" }
            pre { @for set in &sets { "--set " (set) "\n" } }
        }
        details { summary { (name(config)) } pre { (config.text()) } }
    }
}

/// The file's name without its folder, which says nothing on another machine.
fn name(config: &ConfigFile) -> String {
    config.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// What has made a report, and when.
pub(super) fn made(provenance: &Provenance, config: &ConfigFile) -> Vec<(&'static str, String)> {
    vec![
        ("made by", provenance.created_by.clone()),
        ("made at", provenance.created.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("configuration", name(config)),
    ]
}

/// Rows of a split: `76,119 rows (income 76,119, marital 76,119)`.
pub(super) fn rows(count: &pleiad_train::RowCount) -> String {
    let all = format::plural(count.rows, "row");
    if count.tasks.iter().all(|(_, &rows)| rows == count.rows) {
        return all;
    }
    let tasks: Vec<String> =
        count.tasks.iter().map(|(task, &rows)| format!("{task} {}", format::count(rows))).collect();
    format!("{all} (in the sample space of {})", tasks.join(", "))
}
