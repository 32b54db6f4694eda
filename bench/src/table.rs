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
    fn digits() {
        let shown = [12_345.6, 12.34, 0.126, 0.000_54].map(number);
        assert_eq!(shown, ["12346", "12.3", "0.13", "0.0005"]);
        assert_eq!(number(f64::NAN), "-");
        assert_eq!(show(&Cell { value: 943.0, cost: Some(1.86), note: String::new() }), "943 (1.86)");
    }
}
