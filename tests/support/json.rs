//! Members of JSON objects that the daemon has sent.

use mycelium_daemon::formats::json::{members, text_of};

/// The member of that name as it was written.
pub fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    members(object).find(|member| member.key == key).map(|member| member.value)
}

/// The same of a member that must be there and a string.
pub fn text(object: &str, key: &str) -> String {
    let value = member(object, key).unwrap_or_else(|| panic!("no {key} in {object}"));
    text_of(value).unwrap_or_else(|| panic!("{key} is no string in {object}")).into_owned()
}
