//! PURE. What is wrong with a configuration, and where.

use std::fmt;
use std::rc::Rc;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// A file and its line, counted from 1; 0 for the file as a whole.
    File(Rc<str>, usize),
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for Origin {
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

/// One mistake of a configuration, with what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    pub origin: Origin,
    pub text: String,
}

impl ConfigProblem {
    pub fn new(origin: &Origin, text: impl Into<String>) -> Self {
        Self { origin: origin.clone(), text: text.into() }
    }

    /// "`key` is found; it must be accepted".
    pub fn rejected(
        origin: &Origin,
        key: &str,
        found: impl fmt::Display,
        accepted: impl fmt::Display,
    ) -> Self {
        Self::new(origin, format!("`{key}` is {found}; it must be {accepted}"))
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

impl std::error::Error for ConfigProblem {}

/// At most [`Problems::MAX`] problems; of further ones only the number is kept.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<ConfigProblem>,
    more: usize,
}

impl Problems {
    const MAX: usize = 100;

    pub(super) fn push(&mut self, problem: ConfigProblem) {
        if self.found.len() < Self::MAX {
            self.found.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Whether further problems are only counted, so that no text needs to be made for them.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() == Self::MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Those of files by line, then the others in the order in which they were found.
    pub(super) fn in_order(mut self) -> Vec<ConfigProblem> {
        self.found.sort_by_key(|problem| match &problem.origin {
            Origin::File(_, line) => *line,
            _ => usize::MAX,
        });
        if self.more > 0
            && let Some(last) = self.found.last()
        {
            let text = format!("and {} more problems: correct these first", self.more);
            self.found.push(ConfigProblem::new(&last.origin.clone(), text));
        }
        self.found
    }
}
