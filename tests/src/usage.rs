//! What the operating system knows of this process: its memory and what it wrote to disk.
//!
//! Linux tells both in files under `/proc`. Elsewhere each answer is `None`, and the caller says
//! that it was not measured.

/// The most memory that was resident at once since the start or [`restart_peak`], in bytes.
pub fn peak_resident_bytes() -> Option<u64> {
    status_bytes("VmHWM")
}

/// The memory that is resident now, in bytes.
pub fn resident_bytes() -> Option<u64> {
    status_bytes("VmRSS")
}

/// Makes the peak start again from what is resident now. Says whether the system could.
pub fn restart_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Bytes that this process caused to be written to storage.
pub fn written_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    field(&text, "write_bytes")
}

fn status_bytes(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(field(&text, name)? * 1024)
}

/// The number on the line `name: number [unit]`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .and_then(|(_, value)| value.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "cancelled_write_bytes: 7\nwrite_bytes: 42\nVmHWM:\t    2180 kB\n";
        assert_eq!(field(text, "write_bytes"), Some(42));
        assert_eq!(field(text, "VmHWM"), Some(2180));
        assert_eq!(field(text, "bytes"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_the_memory_of_this_process() {
        assert!(peak_resident_bytes() > Some(0));
        assert!(resident_bytes() > Some(0));
    }
}
