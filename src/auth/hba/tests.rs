use super::*;

fn no_files(path: &Path) -> Result<String, String> {
    Err(format!(
        "needs the file {}, which does not exist",
        path.display()
    ))
}

fn parse(text: &str) -> Rules {
    match Rules::parse(text, &mut no_files) {
        Ok(rules) => rules,
        Err(mistakes) => panic!("{text}: {}", told(&mistakes)),
    }
}

fn told(mistakes: &[Mistake]) -> String {
    let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    all.join("; ")
}

fn wrong(text: &str) -> String {
    match Rules::parse(text, &mut no_files) {
        Ok(rules) => panic!("{text}: {rules:?}"),
        Err(mistakes) => told(&mistakes),
    }
}

/// `address user database`, where an address may be `local` and may have `+tls` behind it.
fn judge(rules: &Rules, who: &str) -> String {
    let mut words = who.split(' ');
    let mut next = || words.next().unwrap();
    let (from, user, database) = (next(), next(), next());
    let (address, how) = from.split_once('+').unwrap_or((from, ""));
    let visitor = Visitor {
        address: (address != "local").then(|| address.parse().unwrap()),
        is_encrypted: !how.is_empty(),
        certificate: match how {
            "valid" => Certificate::Valid,
            "own" => Certificate::OfUser,
            _ => Certificate::None,
        },
        user,
        database,
    };
    match rules.judge(&visitor) {
        Ok(method) => format!("{method:?}"),
        Err(error) => {
            assert_eq!(error.kind.code(), "28000");
            error.message.clone()
        }
    }
}

const NOT_THERE: &str = "no pg_hba.conf entry for";

#[track_caller]
fn check(rules: &str, cases: &[(&str, &str)]) {
    let parsed = parse(rules);
    for (who, expected) in cases {
        let judged = judge(&parsed, who);
        let is_it = match *expected {
            "-" => judged.starts_with(NOT_THERE),
            expected => judged == expected,
        };
        assert!(is_it, "{rules}\n{who}: {judged}, not {expected}");
    }
}

// Each of these was taken from what PostgreSQL does: see `tests/hba.rs`, which asks it.
#[test]
fn the_first_rule_that_is_about_somebody_counts() {
    check(
        "# who may come\n\
         local all all trust\n\
         host  all all 127.0.0.1/32 md5\n\
         host  app root all reject\n\
         host  app,\"all\" app 10.0.0.0/8 scram-sha-256\n\
         host  app app all password\n",
        &[
            ("local x y", "Trust"),
            ("127.0.0.1 root app", "Md5"),
            ("10.1.1.1 app app", "Scram"),
            ("10.1.1.1 app all", "Scram"),
            ("11.1.1.1 app app", "Password"),
            ("11.1.1.1 app all", "-"),
            ("::1 app app", "Password"),
            (
                "11.1.1.1 root app",
                "pg_hba.conf rejects connection for host \"11.1.1.1\", user \"root\", database \"app\", no encryption",
            ),
            (
                "11.1.1.1 x y",
                "no pg_hba.conf entry for host \"11.1.1.1\", user \"x\", database \"y\", no encryption",
            ),
        ],
    );
    check(
        "",
        &[
            (
                "local x y",
                "no pg_hba.conf entry for host \"[local]\", user \"x\", database \"y\", no encryption",
            ),
            (
                "::1+tls x y",
                "no pg_hba.conf entry for host \"::1\", user \"x\", database \"y\", SSL encryption",
            ),
        ],
    );
}

#[test]
fn kinds_of_connections() {
    for (kind, plain, tls, local) in [
        ("local", false, false, true),
        ("host", true, true, false),
        ("hostssl", false, true, false),
        ("hostnossl", true, false, false),
        ("hostgssenc", false, false, false),
        ("hostnogssenc", true, true, false),
    ] {
        let address = if kind == "local" { "" } else { "all" };
        let rules = parse(&format!("{kind} all all {address} trust"));
        for (from, expected) in [("10.0.0.1", plain), ("10.0.0.1+tls", tls), ("local", local)] {
            let judged = judge(&rules, &format!("{from} u d"));
            assert_eq!(judged == "Trust", expected, "{kind} {from}: {judged}");
        }
    }
}

#[test]
fn names_keywords_and_expressions() {
    check(
        "local sameuser all trust\n\
         local \"sameuser\" all md5\n\
         local replication all md5\n\
         local \"replication\" all password\n\
         local /^db[0-9]+$ \"all\" md5\n\
         local \"/^a,b$\" /tenant password\n\
         local \"a b\",'c' \"+group\" md5\n\
         local \"say \"\"hi\"\"\",half\"quo ted\" all md5\n\
         local all \"@file\" md5\n",
        &[
            ("local u u", "Trust"),
            ("local u sameuser", "Md5"),
            ("local u replication", "Password"),
            ("local all db17", "Md5"),
            ("local u db17", "-"),
            ("local all db", "-"),
            ("local a_tenant_1 a,b", "Password"),
            ("local +group 'c'", "Md5"),
            ("local +group c", "-"),
            ("local @file x", "Md5"),
            // Names are as they are typed: upper and lower case differ.
            ("local U u", "-"),
        ],
    );
    let rules = parse("local \"a b\",\"say \"\"hi\"\"\",half\"quo ted\" all md5");
    for (database, expected) in [
        ("a b", true),
        ("say \"hi\"", true),
        ("halfquo ted", true),
        ("a", false),
    ] {
        let visitor = Visitor {
            address: None,
            is_encrypted: false,
            certificate: Certificate::None,
            user: "u",
            database,
        };
        assert_eq!(rules.judge(&visitor).is_ok(), expected, "{database}");
    }
}

#[test]
fn addresses_and_masks() {
    check(
        "host a all 192.0.2.0/24 trust\n\
         host a all 198.51.100.0 255.255.255.0 trust\n\
         host b all 0.0.0.0/0 trust\n\
         host c all ::/0 trust\n\
         host d all 2001:db8::1 ffff:ffff:: trust\n\
         host e all 192.0.2.77/24 trust\n",
        &[
            ("192.0.2.255 u a", "Trust"),
            ("192.0.3.0 u a", "-"),
            ("198.51.100.9 u a", "Trust"),
            ("198.51.101.9 u a", "-"),
            ("8.8.8.8 u b", "Trust"),
            ("::1 u b", "-"),
            ("::1 u c", "Trust"),
            ("8.8.8.8 u c", "-"),
            ("2001:db8:9::9 u d", "Trust"),
            ("192.0.2.1 u e", "Trust"),
            ("::ffff:192.0.2.1 u e", "Trust"),
        ],
    );
}

#[test]
fn certificates_are_asked_for_beside_the_method() {
    let needs = "connection requires a valid client certificate";
    check(
        "hostssl a all all md5 clientcert=verify-ca\n\
         hostssl b all all trust clientcert=verify-full\n\
         hostssl c all all cert\n",
        &[
            ("10.0.0.1+tls u a", needs),
            ("10.0.0.1+valid u a", "Md5"),
            ("10.0.0.1+own u a", "Md5"),
            ("10.0.0.1 u a", "-"),
            ("10.0.0.1+tls u b", needs),
            (
                "10.0.0.1+valid u b",
                "certificate authentication failed for user \"u\"",
            ),
            ("10.0.0.1+own u b", "Trust"),
            ("10.0.0.1+tls u c", needs),
            ("10.0.0.1+own u c", "Cert"),
        ],
    );
}

#[test]
fn lines_go_on_and_comments_end() {
    check(
        "local \\\n  a \\\n all trust # words\n\
         local b all trust#words, \"and more\n\
         # a comment \\\nlocal c all trust\n\
         \t \r\n\
         local d , all , md5\n\
         local e,\tf , all trust\r\n",
        &[
            ("local u a", "Trust"),
            ("local u b", "Trust"),
            // The comment has gone on in the next line.
            ("local u c", "-"),
            ("local u d", "Md5"),
            ("local u e", "Trust"),
            ("local u f", "Trust"),
        ],
    );
}

#[test]
fn mistakes_are_told_with_their_places() {
    for (text, expected) in [
        (
            "\n\nhots all all all md5",
            "line 3, column 1: \"hots\" is no type of connection",
        ),
        (
            "local all",
            "line 1, column 7: the line ends before the users",
        ),
        (
            "host all all",
            "line 1, column 10: the line ends before the address",
        ),
        (
            "host all all all",
            "line 1, column 14: the line ends before the method",
        ),
        (
            "local all all 10.0.0.0/8 md5",
            "line 1, column 15: \"10.0.0.0/8\" is no method",
        ),
        (
            "host all all 10.0.0.0 md5",
            "line 1, column 23: \"md5\" is no mask: write the address as 10.0.0.0/32",
        ),
        (
            "host all all 10.0.0.0/33 md5",
            "\"10.0.0.0/33\" has a mask length that is none",
        ),
        ("host all all 10.0.0.0 255.0.255.0 md5", "the mask has gaps"),
        (
            "host all all 10.0.0.0 ff:: md5",
            "the mask is of another kind",
        ),
        (
            "host all all example.com md5",
            "names of hosts are not looked up",
        ),
        (
            "host all all .example.com md5",
            "names of hosts are not looked up",
        ),
        ("host all all \"all\" md5", "\"all\" is no address"),
        ("host all all samenet md5", "samenet is not available"),
        ("host all all samehost md5", "samehost is not available"),
        (
            "host all +admins all md5",
            "line 1, column 10: members of a role (+) are not available",
        ),
        ("host samerole all all md5", "samerole is not available"),
        ("host all /( all md5", "/( is no regular expression"),
        (
            "host all all all peer",
            "\"peer\" is no method: it is `scram-sha-256`",
        ),
        (
            "host all all all md5 map=x",
            "line 1, column 22: map is not available",
        ),
        ("host all all all md5 x=y", "there is no option \"x\""),
        ("host all all all md5 x", "\"x\" is no option: it has no ="),
        (
            "host all all all md5 clientcert=verify-ca",
            "clientcert needs a connection of the type hostssl",
        ),
        (
            "hostssl all all all md5 clientcert=1",
            "clientcert is verify-ca or verify-full",
        ),
        (
            "host all all all cert",
            "cert needs a connection of the type hostssl",
        ),
        (
            "host,local all all all md5",
            "more than one value stands where the type of connection belongs",
        ),
        (
            "host all all all,10.0.0.0/8 md5",
            "more than one value stands where the address belongs",
        ),
        (
            "local \"all all md5",
            "line 1, column 7: a double quote is not closed",
        ),
        (
            "local all \\\n  all \\\n  nothing",
            "line 3, column 3: \"nothing\" is no method",
        ),
        (
            "local @more all md5",
            "line 1, column 7: needs the file more, which does not exist",
        ),
        (
            "include more",
            "line 1, column 9: needs the file more, which does not exist",
        ),
        ("include_dir more", "include_dir is not available"),
        ("include a b", "include takes the name of one file"),
        ("local all all", "the line ends before the method"),
    ] {
        let told = wrong(text);
        assert!(told.contains(expected), "{text}: {told}");
    }
    // All of them, up to a number.
    assert_eq!(
        wrong("x\ny\nlocal all all trust\nz")
            .matches("line")
            .count(),
        3
    );
    assert_eq!(
        wrong(&"x\n".repeat(1000)).matches("line").count(),
        MOST_MISTAKES
    );
}

/// Files by their names.
fn with(files: &[(&str, &str)], text: &str) -> Result<Rules, String> {
    let mut read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        let text = file.map(|(_, text)| (*text).to_owned());
        text.ok_or_else(|| format!("no {}", path.display()))
    };
    Rules::parse(text, &mut read).map_err(|mistakes| told(&mistakes))
}

#[test]
fn files_stand_in_their_places() {
    let rules = with(
        &[
            ("first", "local a all md5\ninclude_if_exists none"),
            ("names", "b, c # two\n@more\n"),
            ("more", "d\n"),
        ],
        "include first\nlocal a all trust\nlocal @names,e all trust\ninclude_if_exists nothing\n",
    )
    .unwrap();
    for (database, expected) in [("a", "Md5"), ("b", "Trust"), ("d", "Trust"), ("e", "Trust")] {
        assert_eq!(judge(&rules, &format!("local u {database}")), expected);
    }
    let told = with(&[("a", "local a all md5\nx")], "\ninclude a").unwrap_err();
    assert!(
        told.starts_with("a, line 2, column 1: \"x\" is no type"),
        "{told}"
    );
    let told = with(&[("a", "@a")], "local @a all md5").unwrap_err();
    assert!(told.contains("the 10th file within another"), "{told}");
    let told = with(&[("a", "include a\ninclude a")], "include a").unwrap_err();
    assert!(told.contains("within another"), "{told}");
    // A list that becomes longer and longer.
    let told = with(
        &[
            ("a", "@b @b @b @b"),
            ("b", "@c @c @c @c"),
            ("c", "@d @d @d @d @d @d @d @d @d @d"),
            ("d", "@e @e @e @e @e @e @e @e @e"),
            ("e", "x"),
        ],
        "local @a all md5",
    )
    .unwrap_err();
    assert!(told.contains("more than 1000 files"), "{told}");
}

#[test]
fn a_rule_that_trusts_strangers_is_known() {
    for (text, line) in [
        ("local all all trust\nhost all all 127.0.0.1/32 trust", None),
        ("host all all all md5\nhost all all all trust", None),
        ("\nhost all all all trust", Some(2)),
        ("host all all 0.0.0.0/0 trust", Some(1)),
        ("hostssl all all all trust", None),
    ] {
        assert_eq!(parse(text).trusts_strangers(), line, "{text}");
    }
}

proptest::proptest! {
    /// Whatever stands in the file, it is read or refused.
    #[test]
    fn no_text_ends_it(text in "(local|host|hostssl|include|@|all|sameuser|/|\\+|,|\"|\\\\\n|\n| |\t|#|10\\.0\\.0\\.0|/8|255\\.0\\.0\\.0|::1|md5|cert|clientcert=|x|é|\\PC){0,40}") {
        let mut file = |_: &Path| Ok(text.clone());
        if let Ok(rules) = Rules::parse(&text, &mut file) {
            let _ = judge(&rules, "10.0.0.1 x x");
            let _ = judge(&rules, "local x x");
        }
    }
}
