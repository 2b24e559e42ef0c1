//! What goes into one request of a service that takes several things at once.

/// Cuts `items` into requests of at most so many, and of at most so many bytes together. One that is too large by itself stays
/// alone, and is refused alone.
pub fn batches<T>(
    items: &[T],
    most: usize,
    most_bytes: usize,
    bytes_of: impl Fn(&T) -> usize,
) -> Vec<&[T]> {
    let mut cut = Vec::new();
    let mut rest = items;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(most)
            .take_while(|item| {
                bytes += bytes_of(item);
                bytes <= most_bytes
            })
            .count();
        let (batch, later) = rest.split_at(fitting.max(1));
        cut.push(batch);
        rest = later;
    }
    cut
}
