//! Reads the files of rules as they are written here: it is no reader of YAML.

/// A rule.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// The alert's name, or that of the series that is recorded.
    pub(crate) name: String,
    /// The expression, in one line.
    pub(crate) expr: String,
    /// How long it must hold.
    pub(crate) wait: String,
    /// How bad it is.
    pub(crate) severity: String,
    /// In one line.
    pub(crate) summary: String,
    /// What to do.
    pub(crate) description: String,
}

/// All rules of a file.
pub(crate) fn read(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    // The key of a text that goes on in the next lines, and how far it is indented.
    let mut open: Option<(String, usize)> = None;
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some((key, outer)) = &open
            && (indent > *outer || line.is_empty())
        {
            put(&mut rules, key, line);
            continue;
        }
        open = None;
        let Some((key, value)) = line.trim_start_matches("- ").split_once(':') else {
            continue;
        };
        let value = value.trim();
        if ["alert", "record"].contains(&key) {
            rules.push(Rule::default());
        }
        match value {
            ">-" | "|" | ">" => open = Some((key.to_owned(), indent)),
            value => put(&mut rules, key, value.trim_matches('"')),
        }
    }
    rules
}

fn put(rules: &mut [Rule], key: &str, value: &str) {
    let Some(rule) = rules.last_mut() else { return };
    let field = match key {
        "alert" | "record" => &mut rule.name,
        "expr" => &mut rule.expr,
        "for" => &mut rule.wait,
        "severity" => &mut rule.severity,
        "summary" => &mut rule.summary,
        "description" => &mut rule.description,
        _ => return,
    };
    if !field.is_empty() {
        field.push(' ');
    }
    field.push_str(value);
}
