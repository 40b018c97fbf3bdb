//! Who may have put a file or directory there.
//!
//! Whoever can write to the data directory can make the daemon send forged records or accept a key. So nothing in it is
//! used that somebody else owns or may replace: only this user, root, and groups that this process is a member of.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use rustix::process::{getegid, geteuid, getgroups};

const GROUP_WRITE: u32 = 0o020;
const OTHER_WRITE: u32 = 0o002;

/// Why a file or directory is not used, as the end of a sentence, with what to do.
pub(super) type Reason = String;

/// The user and the groups of this process.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    uid: u32,
    groups: Vec<u32>,
    /// The user for whom root works.
    owner: Option<u32>,
}

impl Identity {
    pub fn own() -> Self {
        let mut groups: Vec<u32> =
            getgroups().unwrap_or_default().into_iter().map(rustix::fs::Gid::as_raw).collect();
        groups.push(getegid().as_raw());
        Self { uid: geteuid().as_raw(), groups, owner: None }
    }

    /// As [`Identity::own`]; but root may work in the directory of another user, as an operator does who looks at the
    /// outbox of the daemon. Then that user is trusted as well.
    pub fn within(directory: &Metadata) -> Self {
        let own = Self::own();
        let owner = (own.uid == 0).then_some(directory.uid());
        Self { owner, ..own }
    }

    /// A directory may be writable by a group of this process, as volumes with a `fsGroup` are.
    pub fn check_directory(&self, meta: &Metadata) -> Result<(), Reason> {
        self.check_owner(meta)?;
        let mode = meta.mode();
        if mode & OTHER_WRITE != 0 {
            return Err(
                "every user may write to it: run `chmod o-w` on it, or name a directory below it".to_owned()
            );
        }
        if mode & GROUP_WRITE != 0 && !self.groups.contains(&meta.gid()) {
            let gid = meta.gid();
            return Err(format!(
                "group {gid} may write to it, which this process is no member of: run `chmod g-w` on it"
            ));
        }
        Ok(())
    }

    pub fn check_file(&self, meta: &Metadata) -> Result<(), Reason> {
        self.check_owner(meta)?;
        if meta.mode() & (GROUP_WRITE | OTHER_WRITE) != 0 {
            return Err("other users may write to it: remove it, or run `chmod go-w` on it if you trust what it holds"
                .to_owned());
        }
        Ok(())
    }

    fn check_owner(&self, meta: &Metadata) -> Result<(), Reason> {
        let (owner, uid) = (meta.uid(), self.uid);
        if owner == uid || owner == 0 || Some(owner) == self.owner {
            return Ok(());
        }
        Err(format!(
            "it belongs to user {owner} and this process runs as user {uid}: run `chown {uid}` on it, or run this as \
             user {owner}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The owner is that of the files made here; the identity is varied instead.
    #[test]
    fn only_this_user_root_and_own_groups_may_have_written_it() {
        let path = std::env::temp_dir().join(format!("mycelium-trust-{}", std::process::id()));
        fs::write(&path, "x").unwrap();
        let meta = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(&path).unwrap()
        };
        let (uid, gid) = (meta(0o600).uid(), meta(0o600).gid());
        let own = Identity { uid, groups: vec![gid], owner: None };
        let ungrouped = Identity { groups: vec![gid + 1], ..own.clone() };
        // As user `uid`: (identity, mode, directory, file, reason).
        let rows = [
            (&own, 0o700, true, true, "private"),
            (&own, 0o755, true, true, "others may read"),
            (&own, 0o770, true, false, "a volume with its group; a file that the group may write"),
            (&ungrouped, 0o770, false, false, "a foreign group"),
            (&own, 0o702, false, false, "everybody"),
            (&own, 0o1777, false, false, "a directory such as /tmp"),
        ];
        for (who, mode, directory, file, why) in rows {
            assert_eq!(who.check_directory(&meta(mode)).is_ok(), directory, "{why}: directory");
            assert_eq!(who.check_file(&meta(mode)).is_ok(), file, "{why}: file");
        }
        let other = Identity { uid: uid + 1, ..own.clone() };
        let refused = other.check_file(&meta(0o600));
        assert_eq!(refused.is_ok(), uid == 0, "root is trusted, others are not: {refused:?}");
        if let Err(reason) = refused {
            assert!(reason.contains(&format!("chown {}", uid + 1)), "{reason}");
        }
        let operator = Identity { owner: Some(uid), ..other };
        assert!(operator.check_file(&meta(0o600)).is_ok(), "root for this user");
        fs::remove_file(path).unwrap();
    }
}
