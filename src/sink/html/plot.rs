//! The plots of the page: bars by severity and host, and leaks over time. Each bar filters the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::say;
use super::super::text::number;
use super::{moment, text};
use crate::model::event::Leak;
use crate::model::{Severity, Timestamp};

/// Hosts that have a bar of their own: those with the most leaks.
const HOSTS: usize = 15;
/// Columns of the plot over time.
const COLUMNS: usize = 60;
/// Size of that plot, in its own units.
const WIDTH: usize = 960;
const HEIGHT: usize = 160;

pub(super) fn severities(page: &mut String, leaks: &[Leak]) {
    let bars: Vec<Bar> = Severity::ALL
        .iter()
        .rev()
        .map(|&severity| Bar {
            label: severity.as_str().to_owned(),
            parts: vec![(severity, leaks.iter().filter(|leak| leak.severity == severity).count())],
        })
        .filter(|bar| bar.total() > 0)
        .collect();
    chart(page, "by-severity", "By severity", "severity", &bars);
}

pub(super) fn hosts(page: &mut String, leaks: &[Leak]) {
    let mut hosts: BTreeMap<String, BTreeMap<Severity, usize>> = BTreeMap::new();
    for leak in leaks {
        *hosts.entry(say::host(leak)).or_default().entry(leak.severity).or_default() += 1;
    }
    let mut bars: Vec<Bar> = hosts
        .into_iter()
        .map(|(label, parts)| Bar { label, parts: parts.into_iter().rev().collect() })
        .collect();
    bars.sort_by_key(|bar| std::cmp::Reverse(bar.total()));
    bars.truncate(HOSTS);
    chart(page, "by-host", "By host", "host", &bars);
}

/// One line of a chart: its parts are shown side by side.
struct Bar {
    label: String,
    parts: Vec<(Severity, usize)>,
}

impl Bar {
    fn total(&self) -> usize {
        self.parts.iter().map(|&(_, amount)| amount).sum()
    }
}

fn chart(page: &mut String, id: &str, title: &str, filter: &str, bars: &[Bar]) {
    let most = bars.iter().map(Bar::total).max().unwrap_or(1).max(1);
    // Writing to a string cannot fail.
    let _ = write!(page, "<section id=\"{id}\" class=\"chart\"><h2>{title}</h2><ul>");
    for bar in bars {
        let total = bar.total();
        let label = text(&bar.label);
        let _ = write!(
            page,
            "<li><button type=\"button\" data-filter=\"{filter}\" data-value=\"{label}\" title=\"{label}: {total}\"><span class=\"label\">{label}</span><span class=\"bar\">",
        );
        for &(severity, amount) in bar.parts.iter().filter(|&&(_, amount)| amount > 0) {
            let share = amount as f64 * 100.0 / most as f64;
            let _ = write!(page, "<span class=\"{}\" style=\"width:{share:.2}%\"></span>", severity.as_str());
        }
        let _ = write!(page, "</span><span class=\"amount\">{}</span></button></li>", number(total as u64));
    }
    page.push_str("</ul></section>\n");
}

/// Columns of equal time from the first leak to the last, the parts of one on each other, the worst lowest.
pub(super) fn times(page: &mut String, leaks: &[Leak]) {
    let nanos = |leak: &Leak| leak.time.as_nanos();
    let (Some(first), Some(last)) = (leaks.iter().map(nanos).min(), leaks.iter().map(nanos).max()) else {
        return;
    };
    // Each column has a width, however close the leaks are.
    let span = last.saturating_sub(first).max(COLUMNS as i64);
    let mut columns = vec![BTreeMap::<Severity, usize>::new(); COLUMNS];
    for leak in leaks {
        let at =
            i128::from(leak.time.as_nanos().saturating_sub(first)) * COLUMNS as i128 / (i128::from(span) + 1);
        if let Some(column) = usize::try_from(at).ok().and_then(|at| columns.get_mut(at)) {
            *column.entry(leak.severity).or_default() += 1;
        }
    }
    let most = columns.iter().map(|column| column.values().sum::<usize>()).max().unwrap_or(1).max(1);
    let start = |column: usize| {
        let offset = i128::from(span) * column as i128 / COLUMNS as i128;
        Timestamp::from_nanos(first.saturating_add(i64::try_from(offset).unwrap_or(i64::MAX)))
    };
    let _ = write!(
        page,
        "<section id=\"by-time\"><h2>By time</h2><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"leaks over time\">",
        HEIGHT + 24
    );
    let width = WIDTH as f64 / COLUMNS as f64;
    for (index, column) in columns.iter().enumerate() {
        let mut top = HEIGHT as f64;
        let total: usize = column.values().sum();
        if total == 0 {
            continue;
        }
        let from = start(index).as_nanos();
        let until = if index + 1 == COLUMNS { i64::MAX } else { start(index + 1).as_nanos() };
        let _ = write!(
            page,
            "<g data-filter=\"time\" data-from=\"{from}\" data-until=\"{until}\" tabindex=\"0\" role=\"button\"><title>{} from {}</title>",
            number(total as u64),
            text(&moment(&start(index).to_string()))
        );
        for (severity, &amount) in column.iter().rev() {
            let height = amount as f64 * HEIGHT as f64 / most as f64;
            top -= height;
            let _ = write!(
                page,
                "<rect class=\"{}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                severity.as_str(),
                index as f64 * width + 1.0,
                width - 2.0
            );
        }
        page.push_str("</g>");
    }
    let end = Timestamp::from_nanos(last).to_string();
    let _ = writeln!(
        page,
        "<text x=\"0\" y=\"{0}\">{1}</text><text x=\"{WIDTH}\" y=\"{0}\" text-anchor=\"end\">{2}</text></svg></section>",
        HEIGHT + 18,
        text(&moment(&Timestamp::from_nanos(first).to_string())),
        text(&moment(&end))
    );
}
