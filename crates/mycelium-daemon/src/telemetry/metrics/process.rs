//! Resource usage of this process, from /proc.

use std::fs;
use std::io;

use rustix::process::{Resource, getrlimit};

use crate::clock::{Mono, Wall};

/// A reading of /proc/self.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    pub resident_bytes: f64,
    pub cpu_seconds: f64,
    pub open_fds: f64,
    pub max_fds: f64,
    pub threads: f64,
    pub start_time_seconds: f64,
}

impl ProcessStats {
    pub fn read() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "/proc/self/stat has another form");
        let fields = Fields::parse(&stat).ok_or_else(unexpected)?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        // The wall time of the start moves with the clock, as the clock may have been wrong at that time.
        let alive = Mono::now().0 as f64 / 1e9 - fields.start_ticks / ticks;
        Ok(Self {
            resident_bytes: fields.resident_pages * rustix::param::page_size() as f64,
            cpu_seconds: fields.cpu_ticks / ticks,
            // The descriptor that lists them is not one of them.
            open_fds: fs::read_dir("/proc/self/fd")?.count().saturating_sub(1) as f64,
            max_fds: getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |n| n as f64),
            threads: fields.threads,
            start_time_seconds: Wall::now().0 as f64 / 1e3 - alive,
        })
    }
}

/// The fields of interest of /proc/PID/stat, see proc(5).
#[derive(Debug, PartialEq)]
struct Fields {
    cpu_ticks: f64,
    threads: f64,
    start_ticks: f64,
    resident_pages: f64,
}

impl Fields {
    fn parse(stat: &str) -> Option<Self> {
        // The program name is in parentheses and may contain blanks and parentheses.
        let rest = &stat[stat.rfind(')')? + 1..];
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first field after the name is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_after_any_program_name() {
        let stat = "12 (my) (daemon) S 1 2 3 0 -1 4194560 100 0 0 0 70 30 0 0 20 0 4 0 555 1000000 321 184";
        let want = Fields { cpu_ticks: 100.0, threads: 4.0, start_ticks: 555.0, resident_pages: 321.0 };
        assert_eq!(Fields::parse(stat), Some(want));
        assert_eq!(Fields::parse("12 (x) S 1"), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_start_in_the_past() {
        let stats = ProcessStats::read().unwrap();
        assert!(stats.resident_bytes > 1e5 && stats.open_fds >= 3.0 && stats.threads >= 1.0, "{stats:?}");
        assert!(stats.start_time_seconds <= Wall::now().0 as f64 / 1e3, "{stats:?}");
    }
}
