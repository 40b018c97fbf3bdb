//! The name of this daemon: as configured, or of the host, or a random one stored in the state directory.

use std::io;
use std::path::Path;

use crate::clock::BootId;
use mycelium_outbox::SafeName;
use mycelium_outbox::state_dir::{read_file, write_atomically};

/// Stores a random device name.
const FILE: &str = "device.id";
/// More than a device name has.
const MAX_FILE_BYTES: usize = 256;

/// The configured name, else the stored one, else the host name, else a random one, which is stored.
///
/// A default host name of a common image is not used: two devices must not share event ids.
pub fn device(configured: Option<&str>, host: &str, state: Option<&Path>, random: u64) -> io::Result<String> {
    if let Some(name) = configured {
        return Ok(name.to_owned());
    }
    let file = state.map(|directory| directory.join(FILE));
    if let Some(file) = &file {
        let stored = read_file(file, MAX_FILE_BYTES)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot read {}: {e}", file.display())))?
            .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        match stored {
            Some(name) if SafeName::is_valid(&name) => return Ok(name),
            Some(_) => log::warn!("ignoring {}: it does not hold a device name", file.display()),
            None => {}
        }
    }
    if SafeName::is_valid(host) && !is_generic(host) {
        return Ok(host.to_owned());
    }
    let name = format!("edge-{random:016x}");
    if let Some(file) = &file {
        write_atomically(file, name.as_bytes(), 0o600)?;
    }
    Ok(name)
}

fn is_generic(host: &str) -> bool {
    let first = host.split('.').next().unwrap_or(host);
    ["localhost", "raspberrypi", "debian", "openwrt", "alpine", "buildroot", "raspberry"].contains(&first)
}

/// Identifies this start of the process.
pub fn boot() -> io::Result<BootId> {
    random().map(BootId)
}

/// 64 random bits of the kernel.
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
    use std::fs;

    use super::*;

    #[test]
    fn a_default_host_name_is_replaced_by_a_random_name_that_is_stored() {
        let directory = tempdir();
        let first = device(None, "raspberrypi", Some(&directory), 7).unwrap();
        assert_eq!(first, "edge-0000000000000007");
        let second = device(None, "raspberrypi", Some(&directory), 8).unwrap();
        assert_eq!(second, first, "the same after a restart");
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
