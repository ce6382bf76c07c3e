//! How much is pending and how old it is: a part of the page of an audit.

use maud::{Markup, html};

use super::parts::{bar, name, number, scroll};
use crate::audit::{Census, TableCensus};
/// The classes of the style sheet, from the youngest age on.
const AGES: [&str; 6] = ["age-1", "age-2", "age-3", "age-4", "age-5", "age-6"];

pub(super) fn backlog(census: &Census) -> Markup {
    let total = census.total();
    html! {
        p {
            "Soft-deleted rows that are still in their live tables, by how long before "
            (census.at) " UTC they were deleted."
        }
        (by_age(&total))
        (by_table(census))
    }
}

fn by_age(total: &TableCensus) -> Markup {
    let classes = total.ages.classes();
    let most = classes.iter().map(|(_, n)| *n).max().unwrap_or(0);
    let share = |count: u64| match total.pending {
        0 => "-".to_owned(),
        all => format!("{:.1} %", count as f64 / all as f64 * 100.0),
    };
    let table = html! {
        table id="by-age" {
            caption { "All tables together" }
            thead {
                tr {
                    th scope="col" { "deleted" }
                    th scope="col" { span.sr { "as a bar" } }
                    th.number scope="col" { "rows" }
                    th.number scope="col" { "share" }
                }
            }
            tbody {
                @for ((class, count), style) in classes.iter().zip(AGES) {
                    tr {
                        th scope="row" { (class) }
                        td.chart { (bar(&[(*count, style)], most)) }
                        (number(*count))
                        td.number { (share(*count)) }
                    }
                }
            }
        }
    };
    html! { figure { (scroll("Pending rows by age", table)) } }
}

fn by_table(census: &Census) -> Markup {
    let mut tables: Vec<_> = census.tables.iter().collect();
    tables.sort_by_key(|t| std::cmp::Reverse(t.pending));
    let most = tables.first().map_or(0, |t| t.pending);
    let date = |date: &Option<String>| date.clone().unwrap_or_else(|| "-".into());
    let table = html! {
        table.sortable id="by-table" {
            caption { "Table by table, the bars by age" }
            thead {
                tr {
                    th scope="col" { "table" }
                    th.fixed scope="col" { span.sr { "as a bar" } }
                    th.number scope="col" { "pending" }
                    th scope="col" { "oldest pending" }
                    th.number scope="col" { "rows" }
                    th.number scope="col" { "in shadow" }
                    th scope="col" { "oldest in shadow" }
                }
            }
            tbody {
                @for part in tables {
                    tr {
                        th scope="row" { code { (name(&part.table)) } }
                        td.chart { (bar(&by_class(part), most)) }
                        (number(part.pending))
                        td.date { (date(&part.oldest)) }
                        (number(part.rows))
                        @match part.archived {
                            Some(archived) => { (number(archived)) }
                            None => { td.number data-value="-1" { "no shadow" } }
                        }
                        td.date { (date(&part.oldest_archived)) }
                    }
                }
            }
        }
    };
    html! {
        figure {
            ul.legend aria-label="Colours of the bars" {
                @for ((class, _), style) in census.total().ages.classes().iter().zip(AGES) {
                    li {
                        svg viewBox="0 0 8 8" aria-hidden="true" focusable="false" {
                            rect class=(style) width="8" height="8" {}
                        }
                        (class)
                    }
                }
            }
            (scroll("Pending rows by table", table))
        }
    }
}

fn by_class(part: &TableCensus) -> Vec<(u64, &'static str)> {
    let counts = part.ages.classes().map(|(_, count)| count);
    counts.into_iter().zip(AGES).collect()
}
