//! What is wrong with a configuration, one finding at a time.

use std::fmt;
use std::rc::Rc;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Default,
    /// A file and its line, counted from 1; 0 for the file as a whole.
    File(Rc<str>, usize),
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name, 0) => f.write_str(name),
            Self::File(name, line) => write!(f, "{name}:{line}"),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// One finding: where, and what would be accepted instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Place,
    pub text: String,
}

impl Problem {
    pub fn new(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), text: text.into() }
    }

    /// "`key` is value; it must be accepted".
    pub fn refused(place: &Place, key: &str, found: impl fmt::Display, accepted: impl fmt::Display) -> Self {
        Self::new(place, format!("`{key}` is {found}; it must be {accepted}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl std::error::Error for Problem {}

/// Findings, bounded: behind the first hundred only their number is kept.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    more: usize,
}

impl Problems {
    const MOST: usize = 100;

    pub(super) fn push(&mut self, problem: Problem) {
        if self.found.len() < Self::MOST {
            self.found.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// No further finding will be kept, so none needs to be worded well.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() == Self::MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Those of files by line, the others behind them as they were found.
    pub(super) fn in_order(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| match &problem.place {
            Place::File(_, line) => *line,
            _ => usize::MAX,
        });
        if self.more > 0
            && let Some(last) = self.found.last()
        {
            let text = format!("and {} more problems: correct these first", self.more);
            self.found.push(Problem::new(&last.place.clone(), text));
        }
        self.found
    }
}
