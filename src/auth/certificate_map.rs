//! Whom a client certificate stands for: rules from what stands in it to a user and a tenant.

use regex_lite::{Captures, Regex, RegexBuilder};

use super::certificate::{Field, values};

/// What a pattern may cost.
const MAX_PATTERN: usize = 1 << 16;

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    field: Field,
    /// Matches all of a value.
    pattern: Regex,
    user: String,
    tenant: Option<String>,
}

impl Rule {
    /// A rule for certificates in which a value of `field` matches all of `pattern`. In `user` and
    /// `tenant`, `$0` is the value, and `$1` what its first group has matched.
    ///
    /// # Errors
    /// When the pattern is none. The text goes on from the key's name.
    pub fn new(
        field: Field,
        pattern: &str,
        user: &str,
        tenant: Option<&str>,
    ) -> Result<Self, String> {
        let whole = format!("^(?:{pattern})$");
        let pattern = RegexBuilder::new(&whole).size_limit(MAX_PATTERN).build();
        let pattern = pattern.map_err(|error| format!("is no pattern: {error}"))?;
        for template in [Some(user), tenant].into_iter().flatten() {
            check(template, &pattern)?;
        }
        Ok(Self {
            field,
            pattern,
            user: user.to_owned(),
            tenant: tenant.map(str::to_owned),
        })
    }

    /// The tenants for whom this rule lets `user` in with the certificate in `der`.
    fn identify(&self, der: &[u8], user: &str) -> Vec<Option<String>> {
        let mut found = Vec::new();
        for value in values(der, self.field) {
            let Some(captures) = self.pattern.captures(&value) else {
                continue;
            };
            if fill(&self.user, &captures) == user {
                found.push(self.tenant.as_ref().map(|it| fill(it, &captures)));
            }
        }
        found.dedup();
        found
    }
}

/// What a template asks for must be there: an empty place would make one tenant of all.
fn check(template: &str, pattern: &Regex) -> Result<(), String> {
    let mut pieces = template.split('$').skip(1);
    while let Some(piece) = pieces.next() {
        let in_braces = piece.strip_prefix('{').and_then(|it| it.split_once('}'));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = piece.find(|c| !is_name(c)).unwrap_or(piece.len());
        let name = in_braces.map_or_else(|| piece.get(..end).unwrap_or_default(), |(name, _)| name);
        if piece.is_empty() {
            // `$$` is a dollar, and so is one at the end.
            pieces.next();
            continue;
        }
        let is_there = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|it| it == name),
        };
        if !is_there {
            return Err(format!(
                "has no group {name:?}, which {template:?} asks for: write ${{1}} where a letter follows"
            ));
        }
    }
    Ok(())
}

fn fill(template: &str, captures: &Captures<'_>) -> String {
    let mut filled = String::new();
    captures.expand(template, &mut filled);
    filled
}

/// All rules, in their order.
#[derive(Debug, Clone, Default)]
pub struct CertificateMap(Vec<Rule>);

/// Whom a certificate stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its tenant, if the rule names one.
    pub tenant: Option<String>,
}

impl CertificateMap {
    /// These rules; the first that fits counts. Without any, a certificate stands for the user in
    /// its common name.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether the verified certificate in `der` stands for `user`, and for which tenant.
    ///
    /// One with several values that would stand for several tenants stands for nobody: which of
    /// them was meant can only be guessed. So with one that has two common names.
    pub fn holder(&self, der: &[u8], user: &str) -> Option<Holder> {
        if self.0.is_empty() {
            let names = values(der, Field::CommonName);
            return (names == [user]).then_some(Holder { tenant: None });
        }
        let mut fits = self.0.iter().map(|rule| rule.identify(der, user));
        match fits.find(|found| !found.is_empty())?.as_slice() {
            [tenant] => Some(Holder {
                tenant: tenant.clone(),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn der(common_name: &str, unit: &str, uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, unit);
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn rule(field: Field, pattern: &str, user: &str, tenant: Option<&str>) -> Rule {
        Rule::new(field, pattern, user, tenant).unwrap()
    }

    /// The tenant, or `-`; or nobody.
    fn holder(map: &CertificateMap, der: &[u8], user: &str) -> Option<String> {
        let holder = map.holder(der, user)?;
        Some(holder.tenant.unwrap_or_else(|| "-".to_owned()))
    }

    #[test]
    fn without_rules_the_common_name_is_the_user() {
        let map = CertificateMap::default();
        let ours = der("app", "acme", &[]);
        assert_eq!(holder(&map, &ours, "app").as_deref(), Some("-"));
        for other in ["App", "ap", "app ", "", "acme"] {
            assert_eq!(holder(&map, &ours, other), None, "{other}");
        }
        assert_eq!(holder(&map, b"no certificate", "app"), None);
        // What deceives readers of C strings is no name.
        assert_eq!(holder(&map, &der("app\0.evil", "", &[]), "app"), None);
        assert_eq!(
            holder(&map, &der("app\0.evil", "", &[]), "app\0.evil"),
            None
        );
    }

    #[test]
    fn rules_give_users_and_tenants() {
        let spiffe = "spiffe://example.com/tenant/([a-z]+)/service";
        let map = CertificateMap::new(vec![
            rule(Field::Uri, spiffe, "app", Some("$1")),
            rule(Field::CommonName, "svc-(.+)", "$1", Some("none-$0")),
            rule(Field::Unit, "operators", "admin", None),
            rule(Field::Dns, ".*\\.example\\.com", "web", None),
        ]);
        let acme = der(
            "svc-cron",
            "operators",
            &["spiffe://example.com/tenant/acme/service"],
        );
        assert_eq!(holder(&map, &acme, "app").as_deref(), Some("acme"));
        assert_eq!(
            holder(&map, &acme, "cron").as_deref(),
            Some("none-svc-cron")
        );
        assert_eq!(holder(&map, &acme, "admin").as_deref(), Some("-"));
        assert_eq!(holder(&map, &acme, "web").as_deref(), Some("-"));
        assert_eq!(holder(&map, &acme, "svc-cron"), None);
        // All of a value is matched.
        let longer = der("x", "", &["spiffe://example.com/tenant/acme/service/more"]);
        assert_eq!(holder(&map, &longer, "app"), None);
        // Its common name is no longer enough.
        assert_eq!(holder(&map, &der("app", "", &[]), "app"), None);
    }

    #[test]
    fn templates_ask_for_what_is_there() {
        let made = |pattern: &str, tenant: &str| {
            let rule = Rule::new(Field::Uri, pattern, "app", Some(tenant));
            rule.map(drop)
        };
        for tenant in ["$0", "$1", "t_${1}_eu", "$1-eu", "$$", "plain", "$name"] {
            assert_eq!(made("(?<name>.+)", tenant), Ok(()), "{tenant}");
        }
        for (tenant, group) in [
            ("t_$1_eu", "1_eu"),
            ("$2", "2"),
            ("$other", "other"),
            ("${", ""),
        ] {
            let error = made("(?<name>.+)", tenant).unwrap_err();
            assert!(
                error.starts_with(&format!("has no group {group:?}")),
                "{error}"
            );
        }
    }

    // J8
    #[test]
    fn a_certificate_of_two_tenants_is_nobodys() {
        let map = CertificateMap::new(vec![rule(Field::Uri, "urn:t:(.+)", "app", Some("$1"))]);
        let two = der("app", "", &["urn:t:acme", "urn:t:globex"]);
        assert_eq!(holder(&map, &two, "app"), None);
        let same = der("app", "", &["urn:t:acme", "urn:t:acme"]);
        assert_eq!(holder(&map, &same, "app").as_deref(), Some("acme"));
    }
}
