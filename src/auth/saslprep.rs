//! SASLprep as PostgreSQL does it, which is not quite as RFC 4013 does it.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// The form of `password` that keys are derived from.
///
/// A password that SASLprep forbids is used as it is, and so is one that is not UTF-8: PostgreSQL
/// has no use for a user who cannot log in. It also looks for forbidden characters before it
/// normalizes, not after as the RFC says, so a letter that came with Unicode 4.0 makes a password
/// raw here and there even if its normal form is a plain `A`.
pub(super) fn prepare(password: &[u8]) -> Cow<'_, [u8]> {
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    match std::str::from_utf8(password).ok().and_then(normal) {
        Some(text) => Cow::Owned(text.into_bytes()),
        None => Cow::Borrowed(password),
    }
}

/// The normal form; `None` for what SASLprep forbids.
fn normal(text: &str) -> Option<String> {
    let mapped: String = text
        .chars()
        .map(|c| {
            if tables::non_ascii_space_character(c) {
                ' '
            } else {
                c
            }
        })
        .filter(|&c| !tables::commonly_mapped_to_nothing(c))
        .collect();
    if mapped.is_empty() || mapped.contains(forbidden) || !one_direction(&mapped) {
        return None;
    }
    Some(mapped.nfkc().collect())
}

fn forbidden(c: char) -> bool {
    tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
        || tables::unassigned_code_point(c)
}

/// RFC 3454, section 6: text that has a right-to-left letter begins and ends with one, and has
/// no left-to-right letter.
fn one_direction(text: &str) -> bool {
    !text.contains(tables::bidi_r_or_al)
        || (!text.contains(tables::bidi_l)
            && text.starts_with(tables::bidi_r_or_al)
            && text.ends_with(tables::bidi_r_or_al))
}

#[cfg(test)]
mod tests {
    use crate::auth::{Password, Secret};

    /// Secrets that PostgreSQL 15 stored for the passwords beside them.
    const STORED: &[(&str, &str)] = &[
        (
            "correct horse",
            "SCRAM-SHA-256$4096:Gbnpi09lAJiw4IQQA2jxBw==$AFOrz3UI1P7egHRUezV8BH0Wis0MWsQtw0AvY7mTPm0=:uSDQRJE1DxnRLVXp1CDA3PHRKqX+6fk3ZrdiuefyN4o=",
        ),
        (
            "p\u{aa}\u{ad}ss\u{2168}",
            "SCRAM-SHA-256$4096:YSieAmnZh4APQjCWm24EzA==$Sl52JLcg13oFldyjB8OeYVE8j0roOtJ5t8GgBHxo+sw=:lxncXbgUo/AKIxbo2TNzlmWvA87wN+JLjTeZdKEElJg=",
        ),
        // A control character is forbidden, so the soft hyphen stays.
        (
            "bell\u{7}\u{ad}",
            "SCRAM-SHA-256$4096:8chvKKcCE+AWbXNV6/qVZA==$Eo+IiMd6FGakfBJl8ukP9W8cO+BpHiV6HZ1yE8DMlUg=:nSHqilie1zX8xPBDO65U/X1JXxBakqOK9fYczrEf+9w=",
        ),
        // Forbidden before, allowed after normalization.
        (
            "x\u{340}y",
            "SCRAM-SHA-256$4096:jI+u2Mwcl0maWmtGJnsKHg==$l3k9c2Td8wrfvHBy1al+BAVuMjeEszoD4p96ogE+lMo=:adRaa9r9QEZmgaloVJ0h1EBuMR9FDIOVQCm8x8wq6q4=",
        ),
        // Not yet assigned in Unicode 3.2.
        (
            "\u{1d2c}bc",
            "SCRAM-SHA-256$4096:DY0qKS1EO5Pb7YDbDobHPA==$3Z9MOIALVwN1CmLbtoJU/MyJDM1qAHDwEutsEC5BCms=:iKgefasY8HIko63D/L1JtGLCY0Ea/EVoeLLKM+hr4VM=",
        ),
        (
            "emoji\u{1f600}",
            "SCRAM-SHA-256$4096:Oa5vPHQEieezqk3hWK4dAA==$unXg3ZZ30VcoIG1KuS+4FlDu46fUg7Tn1yMmStjzCig=:pwFgumR07hwMCCQjqrlmokg8GD9XOe4z3dTkTI5iqOs=",
        ),
        // Nothing would be left of it.
        (
            "\u{ad}",
            "SCRAM-SHA-256$4096:7M/5IztOSgJ/qvum29tluQ==$eo40stFTwYrDPyn2oKLfY9BMS2p/OxKHjB/UDFbqCAE=:XYTVHz4EA8b92nmStyqgDBEBxU4oIayJOAURZnLZM1I=",
        ),
        // Right to left, but not to the end.
        (
            "\u{5d0}\u{ff11}",
            "SCRAM-SHA-256$4096:PzTvzCEF+pwBaqgRHVQZQw==$6AZlNkxwoj72ixzhUEDSjW9vh5lkQU4N0ed0cOQO6tU=:WQPr5PIofWYXqWxecZFh12luIcmVXdCTBQROZk2xVOg=",
        ),
        // Spaces that are not ASCII's; one of them is also in the table of what maps to nothing.
        (
            "sp\u{1680}ace",
            "SCRAM-SHA-256$4096:c0tWIfKeB4kmW92LxQMQHQ==$MoM9lYS3sVRMR+2Fgw+JZ4OaVbN6/72cmVj1ZXX8naA=:IMyIp+G2IbzT0wTATtT3/1fXhyLJFBfupKrFErWFh8E=",
        ),
        (
            "\u{200b}z\u{3000}w",
            "SCRAM-SHA-256$4096:hyxWY2Stf+1tZYD8XMoPOw==$xuC+BLeED73b3irJ0Fjf2yH63zo/zpDaZU0ig2tQvZw=:szG0hSmRkRUneB5exiNWIaK63Pb8YPBUhpEOfbN8q4s=",
        ),
        (
            "\u{212b}ngstr\u{f6}m",
            "SCRAM-SHA-256$4096:sZjs1kA720lwpS8vaOLLlw==$+chEKfE+TJz0YDLaMyt/8sZCvvBRdS6tWEniYte5WwI=:PiRs9DU51yvXHkD2Zlxv+muUW7eRgl7EOEDzLz024Uc=",
        ),
    ];

    #[test]
    fn passwords_are_prepared_as_postgresql_does() {
        for (password, stored) in STORED {
            let Ok(Secret::Scram(secret)) = Secret::parse(stored) else {
                panic!("{stored}")
            };
            assert!(
                secret.is_for(&Password::new(password.as_bytes())),
                "{password:?}"
            );
            assert!(!secret.is_for(&Password::new(b"another")), "{password:?}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_used_as_it_is() {
        assert_eq!(super::prepare(b"caf\xe9"), b"caf\xe9".as_slice());
    }
}
