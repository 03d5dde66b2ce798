//! What commands print for people to read.

/// Prints a line on standard output. A reader that has gone (`mesos demo | head`) is no reason to fail, let alone
/// to leave a cluster behind: what cannot be shown is not shown.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
