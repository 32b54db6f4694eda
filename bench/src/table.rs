//! The table, a row at a time.

use crate::server::Kind;

/// What one server did in one row.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// The number that is compared.
    pub(crate) value: f64,
    /// What it cost, in a second number, if there is one.
    pub(crate) cost: Option<f64>,
    /// More, for people.
    pub(crate) note: String,
}

/// Prints the title of some rows.
pub(crate) fn title(title: &str, unit: &str, kinds: &[Kind]) {
    println!("\n{title}\n  {unit}");
    let names: String = kinds.iter().map(|kind| format!("{:>24}", kind.name())).collect();
    println!("  {:<38}{names}   {}", "", if kinds.len() > 1 { "ratio" } else { "" });
}

/// Prints a row: the cells in the order of the servers, and the ratio of the first to the second.
pub(crate) fn row(name: &str, kinds: &[Kind], cells: &[Cell]) {
    let shown: String = cells.iter().map(|cell| format!("{:>24}", show(cell))).collect();
    let ratio = match cells {
        [first, second] => {
            let cost = first.cost.zip(second.cost).map(|(a, b)| format!(" ({})", number(a / b))).unwrap_or_default();
            format!("{}{cost}", number(first.value / second.value))
        }
        _ => String::new(),
    };
    println!("  {name:<38}{shown}   {ratio}");
    for (kind, cell) in kinds.iter().zip(cells).filter(|(_, cell)| !cell.note.is_empty()) {
        println!("      {}: {}", kind.name(), cell.note);
    }
}

/// Which of two numbers is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// Prints the title of rows with many peers.
pub(crate) fn contest_title(title: &str, unit: &str, names: &[&str]) {
    println!("\n{title}\n  {unit}");
    let names: String = names.iter().map(|name| format!("{name:>18}")).collect();
    println!("  {:<34}{names}   to the best peer", "");
}

/// Prints a row with many peers: the cells of all, the first of which is ours, and its ratio to the best of the `peers` that
/// follow it. What stands behind those is for comparison only.
pub(crate) fn contest(name: &str, cells: &[Option<Cell>], peers: usize, better: Better) {
    let shown: String =
        cells.iter().map(|cell| format!("{:>18}", cell.as_ref().map_or("-".to_owned(), show))).collect();
    println!("  {name:<34}{shown}   {}", contest_ratio(cells, peers, better));
}

fn contest_ratio(cells: &[Option<Cell>], peers: usize, better: Better) -> String {
    let Some((Some(ours), others)) = cells.split_first() else { return String::new() };
    let others = others.get(..peers).unwrap_or(others);
    let ratio = |ours: f64, theirs: Vec<f64>, better: Better| {
        let best = theirs.into_iter().filter(|value| value.is_finite()).reduce(match better {
            Better::Higher => f64::max,
            Better::Lower => f64::min,
        });
        number(ours / best.unwrap_or(f64::NAN))
    };
    let values = ratio(ours.value, others.iter().flatten().map(|cell| cell.value).collect(), better);
    match ours.cost {
        None => values,
        Some(cost) => {
            let costs = others.iter().flatten().filter_map(|cell| cell.cost).collect();
            format!("{values} ({})", ratio(cost, costs, Better::Lower))
        }
    }
}

fn show(cell: &Cell) -> String {
    match cell.cost {
        Some(cost) => format!("{} ({})", number(cell.value), number(cost)),
        None => number(cell.value),
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value {
        // Nothing to compare with.
        value if !value.is_finite() => "-".to_owned(),
        value if value.abs() >= 100.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value if value.abs() >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_peer_is_compared_with() {
        let cell = |value, cost| Some(Cell { value, cost: Some(cost), note: String::new() });
        let cells = [cell(300.0, 1.0), cell(100.0, 4.0), None, cell(50.0, 2.0), cell(900.0, 0.1)];
        assert_eq!(contest_ratio(&cells, 3, Better::Higher), "3.00 (0.50)");
        assert_eq!(contest_ratio(&cells, 3, Better::Lower), "6.00 (0.50)");
        assert_eq!(contest_ratio(cells.get(..1).expect("one"), 3, Better::Lower), "- (-)");
        assert_eq!(contest_ratio(&[], 3, Better::Lower), "");
    }

    #[test]
    fn digits() {
        let shown = [12_345.6, 12.34, 0.126, 0.000_54].map(number);
        assert_eq!(shown, ["12346", "12.3", "0.13", "0.0005"]);
        assert_eq!(number(f64::NAN), "-");
        assert_eq!(show(&Cell { value: 943.0, cost: Some(1.86), note: String::new() }), "943 (1.86)");
    }
}
