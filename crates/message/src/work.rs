//! Counts octets looked at, in tests only, so that "linear time" is a number and not a stopwatch.

#[cfg(test)]
thread_local! {
    static OCTETS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Says that so many octets were looked at.
#[inline]
pub(crate) fn spend(octets: usize) {
    #[cfg(test)]
    OCTETS.with(|sum| sum.set(sum.get() + octets));
    #[cfg(not(test))]
    let _ = octets;
}

/// How many octets `action` looked at.
#[cfg(test)]
pub(crate) fn measure(action: impl FnOnce()) -> usize {
    OCTETS.with(|sum| sum.set(0));
    action();
    OCTETS.with(std::cell::Cell::get)
}
