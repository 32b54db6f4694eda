//! Tables that people read: columns aligned, nothing after the last one.

use serde_json::Value;
use std::fmt::Write;

/// A column: its head, and what stands in it.
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) cell: fn(&Value) -> String,
}

/// A table that is printed page by page: columns keep the widths that they have reached.
pub(super) struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    headed: bool,
}

impl Table {
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self { columns, widths: columns.iter().map(|column| column.head.chars().count()).collect(), headed: false }
    }

    /// The lines of these records, under the heads if they are the first.
    pub(super) fn lines(&mut self, records: &[Value]) -> Vec<String> {
        let rows: Vec<Vec<String>> = records.iter().map(|record| self.row(record)).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heads = (!std::mem::replace(&mut self.headed, true)).then(|| self.heads());
        heads.iter().chain(&rows).map(|row| self.line(row)).collect()
    }

    fn heads(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.head.to_owned()).collect()
    }

    fn row(&self, record: &Value) -> Vec<String> {
        let cells = self.columns.iter().map(|column| plain(&(column.cell)(record)));
        cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(row) {
            let _ = write!(line, "{cell:width$}  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Names and what they stand for, below each other.
pub(super) fn sheet(lines: &[(String, String)]) -> Vec<String> {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(name, text)| format!("{name:width$}  {}", plain(text)).trim_end().to_owned()).collect()
}

/// A field as text: lists with commas, objects as `name=value`, nothing for what is not there.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A field of a record as text.
pub(super) fn field(record: &Value, name: &str) -> String {
    record.get(name).map(text).unwrap_or_default()
}

/// Without control characters: what others wrote must not move the operator's cursor.
pub(super) fn plain(text: &str) -> String {
    match text.chars().any(char::is_control) {
        false => text.to_owned(),
        true => {
            text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] = &[
        Column { head: "NAME", cell: |record| field(record, "name") },
        Column { head: "WHAT", cell: |record| field(record, "what") },
    ];

    #[test]
    fn columns_align_and_control_characters_are_shown() {
        let mut table = Table::new(COLUMNS);
        let first = table.lines(&[json!({"name": "jörg", "what": ["a", 1]}), json!({"name": "x\u{1b}[2J"})]);
        assert_eq!(first, ["NAME        WHAT", "jörg        a, 1", "x\\u{1b}[2J  -"]);
        assert_eq!(table.lines(&[json!({"name": "b", "what": true})]), ["b           yes"]);
    }
}
