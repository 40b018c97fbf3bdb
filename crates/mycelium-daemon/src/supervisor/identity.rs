//! Who this daemon is: the configured name, the host's, or a random one kept in the state directory.

use std::fs;
use std::io;
use std::path::Path;

use crate::clock::BootId;
use mycelium_outbox::SafeName;

/// Where a random device name is kept once it had to be made up.
const FILE: &str = "device.id";

/// The configured name, else the one kept from an earlier start, else the host's name, else a random one.
///
/// A host name that any freshly flashed machine could have is no name: two of them must not share event ids.
pub fn device(configured: Option<&str>, host: &str, state: Option<&Path>, random: u64) -> io::Result<String> {
    if let Some(name) = configured {
        return Ok(name.to_owned());
    }
    let kept = state.map(|directory| directory.join(FILE));
    if let Some(file) = &kept {
        match fs::read_to_string(file) {
            Ok(text) if SafeName::is_valid(text.trim()) => return Ok(text.trim().to_owned()),
            Ok(_) => log::warn!("ignoring {}: it does not hold a device name", file.display()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    if SafeName::is_valid(host) && !is_generic(host) {
        return Ok(host.to_owned());
    }
    let name = format!("edge-{random:016x}");
    if let Some(file) = &kept {
        mycelium_outbox::state_dir::write_atomically(file, name.as_bytes(), 0o600)?;
    }
    Ok(name)
}

fn is_generic(host: &str) -> bool {
    let first = host.split('.').next().unwrap_or(host);
    ["localhost", "raspberrypi", "debian", "openwrt", "alpine", "buildroot", "raspberry"].contains(&first)
}

/// 64 random bits that no earlier start had.
pub fn boot() -> io::Result<BootId> {
    random().map(BootId)
}

/// 64 bits from the kernel's generator.
pub fn random() -> io::Result<u64> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 8];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("cannot read random bytes from the kernel"))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_every_fresh_image_has_is_replaced_by_a_random_one_that_is_kept() {
        let directory = tempdir();
        let first = device(None, "raspberrypi", Some(&directory), 7).unwrap();
        assert_eq!(first, "edge-0000000000000007");
        let second = device(None, "raspberrypi", Some(&directory), 8).unwrap();
        assert_eq!(second, first, "kept over a restart");
        assert_eq!(device(None, "greenhouse-3", None, 9).unwrap(), "greenhouse-3");
        assert_eq!(device(Some("own"), "greenhouse-3", Some(&directory), 9).unwrap(), "own");
        fs::remove_dir_all(directory).unwrap();
    }

    fn tempdir() -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("mycelium-identity-{:016x}", random().unwrap()));
        fs::create_dir(&path).unwrap();
        path
    }
}
