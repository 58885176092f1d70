//! Formats numbers for people, the same everywhere.

/// A number with commas between its thousands: `1,234`.
#[must_use]
pub fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(7_u64), "7");
        assert_eq!(grouped(1_234_567_u64), "1,234,567");
        assert_eq!(grouped(999_u64), "999");
    }
}
