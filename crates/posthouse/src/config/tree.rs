//! What is written in the files, each key and value with its place.

use super::problem::{Problem, Problems};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Some octets of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: Arc<Source>,
    pub(super) span: Range<usize>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value of TOML, as far as we use it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    Other,
    List(Vec<Node>),
    Table(Table),
}

/// A table: the place of the key, and the value.
pub(super) type Table = BTreeMap<String, (Place, Node)>;

/// Reads a file and `conf.d/*.toml` beside it, in the order of their names.
pub(super) fn load(file: &Path, problems: &Problems) -> Node {
    let mut tree = read(file, problems);
    for path in drop_ins(file, problems) {
        tree = merge(tree, read(&path, problems));
    }
    tree
}

fn drop_ins(file: &Path, problems: &Problems) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.unreadable(&folder, &error);
            return Vec::new();
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if is_drop_in(&entry.path()) => paths.push(entry.path()),
            Ok(_) => {}
            Err(error) => problems.unreadable(&folder, &error),
        }
    }
    paths.sort();
    paths
}

/// Not those that editors and package managers leave behind.
fn is_drop_in(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension == "toml")
}

fn read(path: &Path, problems: &Problems) -> Node {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        problems.unreadable(path, &error);
        String::new()
    });
    parse(Arc::new(Source { path: path.to_owned(), text }), problems)
}

/// Reads what can be read: one mistake of syntax does not hide those after it.
fn parse(source: Arc<Source>, problems: &Problems) -> Node {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        problems.add(Problem::syntax(&Place { source: Arc::clone(&source), span }, error.message()));
    }
    let place = Place { source: Arc::clone(&source), span: 0..0 };
    Node { place, value: Value::Table(table_of(&source, table.get_ref())) }
}

fn table_of(source: &Arc<Source>, table: &DeTable<'_>) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let place = Place { source: Arc::clone(source), span: key.span() };
        (key.get_ref().clone().into_owned(), (place, node_of(source, value)))
    });
    entries.collect()
}

fn node_of(source: &Arc<Source>, value: &Spanned<DeValue<'_>>) -> Node {
    let place = Place { source: Arc::clone(source), span: value.span() };
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other,
        },
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
        DeValue::Array(list) => Value::List(list.iter().map(|value| node_of(source, value)).collect()),
        DeValue::Table(table) => Value::Table(table_of(source, table)),
    };
    Node { place, value }
}

/// Puts a later file over an earlier: tables are merged, lists of tables (`[[store]]`) joined, the rest replaced.
fn merge(under: Node, over: Node) -> Node {
    let value = match (under.value, over.value) {
        (Value::Table(mut table), Value::Table(over)) => {
            for (key, (place, node)) in over {
                let merged = match table.remove(&key) {
                    Some((_, under)) => merge(under, node),
                    None => node,
                };
                table.insert(key, (place, merged));
            }
            Value::Table(table)
        }
        (Value::List(mut list), Value::List(more)) if list.iter().chain(&more).all(Node::is_table) => {
            list.extend(more);
            Value::List(list)
        }
        (_, value) => value,
    };
    Node { place: over.place, value }
}

impl Node {
    fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_))
    }

    /// A digest of what is written under each key (`relay.listen`, `store[0].path`), for who compares two readings.
    pub(super) fn written(&self) -> BTreeMap<String, u64> {
        let mut written = BTreeMap::new();
        self.write(String::new(), &mut written);
        written
    }

    fn write(&self, key: String, written: &mut BTreeMap<String, u64>) {
        match &self.value {
            Value::Table(table) => {
                for (name, (_, node)) in table {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    node.write(key, written);
                }
            }
            Value::List(list) if list.iter().any(Self::is_table) => {
                list.iter().enumerate().for_each(|(at, node)| node.write(format!("{key}[{at}]"), written));
            }
            Value::List(_) | Value::Text(_) | Value::Integer(_) | Value::Boolean(_) | Value::Other => {
                let mut hasher = DefaultHasher::new();
                self.digest(&mut hasher);
                written.insert(key, hasher.finish());
            }
        }
    }

    /// Of values without keys; a list of one is that one.
    fn digest(&self, hasher: &mut DefaultHasher) {
        match &self.value {
            Value::Text(text) => text.hash(hasher),
            Value::Integer(number) => number.hash(hasher),
            Value::Boolean(value) => value.hash(hasher),
            Value::List(list) => list.iter().for_each(|node| node.digest(hasher)),
            Value::Other | Value::Table(_) => {}
        }
    }

    /// What kind of value stands here, for who expected another.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Other => "a number or date out of range",
            Value::List(_) => "a list",
            Value::Table(_) => "a section",
        }
    }
}

impl Place {
    /// Both counted from one, the column in characters.
    pub(super) fn line_and_column(&self) -> (usize, usize) {
        let before = self.source.text.get(..self.span.start).unwrap_or(&self.source.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or("").chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    /// The folder of the file, which relative paths in it begin at.
    pub(super) fn folder(&self) -> &Path {
        self.source.path.parent().unwrap_or(Path::new(""))
    }
}
