//! What a client connected with is what RESET, RESET ALL and DISCARD ALL go back to.

use crate::{
    Parameters, login,
    stage::Stage,
    support::{
        Pgusher, both_versions,
        message::{extended, query, sync},
    },
};

const OPTIONS: Parameters<'static> = &[(
    "options",
    "-c work_mem=1111kB -c timezone=Europe/Berlin -c search_path=a,public -c app.one=start",
)];

const NAMED: Parameters<'static> = &[
    ("work_mem", "1111kB"),
    ("TimeZone", "Europe/Berlin"),
    ("search_path", "a, \"B c\", public"),
    ("app.one", "it's \\ \"start\""),
    ("DateStyle", "German"),
    ("application_name", "start"),
    ("client_encoding", "LATIN1"),
];

const SCRIPTS: &[&[&str]] = &[
    &[
        "SHOW work_mem",
        "SHOW TimeZone",
        "SHOW search_path",
        "SELECT current_setting('app.one')",
        "SHOW DateStyle",
        "SHOW application_name",
        "SHOW client_encoding",
    ],
    &[
        "SET work_mem = '1234kB'",
        "SHOW work_mem",
        "RESET work_mem",
        "SHOW work_mem",
    ],
    &[
        "SET work_mem TO DEFAULT",
        "SHOW work_mem",
        "SELECT set_config('work_mem', NULL, false) IS NOT NULL",
        "SHOW work_mem",
    ],
    &[
        "SET TimeZone = 'Asia/Tokyo'",
        "SET search_path = public",
        "SET app.one = 'x'",
        "SET work_mem = '1234kB'",
        "SET app.two = 'y'",
        "RESET ALL",
        "SHOW TimeZone",
        "SHOW search_path",
        "SELECT current_setting('app.one')",
    ],
    &[
        "SET TimeZone = 'Asia/Tokyo'",
        "SET search_path = public",
        "SET app.one = 'x'",
        "SET application_name = 'y'",
        "DISCARD ALL",
        "SHOW TimeZone",
        "SHOW search_path",
        "SELECT current_setting('app.one')",
        "SHOW application_name",
    ],
    &[
        "SET TIME ZONE LOCAL",
        "SHOW TimeZone",
        "SET TIME ZONE 'UTC'",
        "SET TIME ZONE DEFAULT",
        "SHOW TimeZone",
    ],
    &[
        "SET DateStyle = 'MDY'",
        "SHOW DateStyle",
        "SET DateStyle = 'ISO'",
        "SHOW DateStyle",
        "RESET DateStyle",
        "SHOW DateStyle",
    ],
    &[
        "SET NAMES 'UTF8'",
        "SHOW client_encoding",
        "SET NAMES DEFAULT",
        "SHOW client_encoding",
    ],
    &[
        "RESET client_encoding",
        "RESET application_name",
        "SHOW application_name",
    ],
    &[
        "BEGIN",
        "RESET work_mem",
        "RESET app.one",
        "SHOW work_mem",
        "ROLLBACK",
        "SHOW work_mem",
        "SELECT current_setting('app.one')",
    ],
    &[
        "BEGIN",
        "SET work_mem = '1234kB'",
        "RESET work_mem",
        "COMMIT",
        "SHOW work_mem",
    ],
    &[
        "BEGIN",
        "SET LOCAL work_mem = '1234kB'",
        "SET LOCAL app.one = ''",
        "COMMIT",
        "SHOW work_mem",
        "SELECT current_setting('app.one')",
    ],
    &[
        "SET app.one = ''",
        "SELECT current_setting('app.one')",
        "RESET app.one",
        "SELECT current_setting('app.one')",
    ],
    &["SET work_mem = '1111kB'", "RESET work_mem", "SHOW work_mem"],
    &["RESET ALL", "DISCARD ALL", "SHOW work_mem"],
    &[
        "SELECT setting, boot_val FROM pg_settings WHERE name = 'work_mem'",
        "SELECT count(*) FROM t",
    ],
];

both_versions! {
    /// A16, E1, E5
    options, |server| {
        let mut stage = Stage::new(server);
        stage.tell_with(OPTIONS, SCRIPTS);
        stage.finish();
    }
}

both_versions! {
    /// E1, E5
    parameters, |server| {
        let mut stage = Stage::new(server);
        stage.tell_with(NAMED, SCRIPTS);
        stage.finish();
    }
}

both_versions! {
    /// E2: a role can be given at startup, and RESET ROLE goes back to it.
    role, |server| {
        let mut stage = Stage::new(server);
        stage.tell_with(&[("options", "-c role=visitor")], &[
            &["SELECT current_user, session_user", "RESET ROLE", "SELECT current_user"],
            &["SET ROLE NONE", "SELECT current_user", "RESET ALL", "SELECT current_user", "DISCARD ALL", "SELECT current_user"],
            &["SET ROLE pg_monitor", "BEGIN", "RESET ROLE", "SELECT current_user", "ROLLBACK", "SELECT current_user"],
            &["SET ROLE pg_monitor", "SET ROLE DEFAULT", "SET role TO DEFAULT", "SELECT current_user"],
        ]);
        stage.finish();
    }
}

both_versions! {
    /// E1, E5: the same, on two connections in turns.
    on_another_connection, |server| {
        let mut stage = Stage::alternating(server);
        stage.tell_with(NAMED, SCRIPTS);
        stage.finish();
    }
}

both_versions! {
    /// Where pgusher is not PostgreSQL: what stands in the same text or batch behind a RESET sees the
    /// server's default, as do `reset_val` and what `set_config` answers to NULL. The next request
    /// does not.
    in_one_text, |server| {
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).pool_size(1).start();
        let mut client = login(pgusher.port(), "app", &database.name, &[("work_mem", "1111kB")]);
        let seen = |client: &mut crate::support::Raw, bytes: &[u8]| -> Vec<String> {
            let answer = client.ask(bytes).text();
            let rows = answer.lines().filter_map(|line| line.strip_prefix("D "));
            rows.map(str::to_owned).collect()
        };
        let batch = [extended("RESET work_mem", &[]), extended("SHOW work_mem", &[]), sync()].concat();
        for (bytes, expected) in [
            (query("RESET work_mem; SHOW work_mem"), "4MB"),
            (batch, "4MB"),
            (query("SELECT set_config('work_mem', NULL, false)"), "4MB"),
            (query("BEGIN; RESET ALL; SHOW work_mem"), "4MB"),
            (query("COMMIT; SELECT reset_val FROM pg_settings WHERE name = 'work_mem'"), "4096"),
        ] {
            assert_eq!(seen(&mut client, &bytes), [expected]);
            assert_eq!(seen(&mut client, &query("SHOW work_mem")), ["1111kB"]);
        }
    }
}
