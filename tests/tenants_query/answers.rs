//! What the query says, and what comes of it.

use crate::{
    PLAN, Stage, error_among, error_of, eventually,
    support::{both_versions, message::query},
    unknown,
};

both_versions!(
    /// A row names the tier; one without is in the default tier; no row is no tenant.
    a_tier,
    |pg| {
        let stage = Stage::new(pg, "");
        assert_eq!(stage.client_of("acme").value(PLAN), "gold");
        assert_eq!(stage.client_of("plain").value(PLAN), "default");
        let told = stage.login("nobody").expect_err("unknown");
        assert_eq!(told, format!("FATAL:{}", unknown("nobody")));
    }
);

both_versions!(
    /// A column overrides a key of the tier.
    a_limit,
    |pg| {
        let stage = Stage::with(pg, crate::FIND, "", "[limits]\nmax_delay = \"1ms\"");
        stage.database.sql("UPDATE public.tenants SET transactions_per_second = 1");
        let mut client = stage.client_of("acme");
        assert_eq!(client.value(PLAN), "gold");
        let errors = [(); 5].map(|()| error_of(&mut client, PLAN));
        let refused = "53400: tenant \"acme\" starts too many transactions";
        assert!(errors.iter().any(|error| error == refused), "{errors:?}");
        let other = errors.iter().find(|error| !error.is_empty() && *error != refused);
        assert_eq!(other, None);
    }
);

both_versions!(
    /// By SET, by SET in an open transaction, and in a comment.
    an_unknown_tenant_is_refused_wherever_it_is_named,
    |pg| {
        let stage = Stage::new(pg, "");
        let mut client = stage.anonymous();
        // Nobody knows yet: the first transaction asks.
        client.rows("SET app.tenant_id = 'nobody'");
        assert_eq!(error_of(&mut client, PLAN), unknown("nobody"));
        assert_eq!(error_of(&mut client, PLAN), unknown("nobody"));
        let mut client = stage.anonymous();
        assert_eq!(error_of(&mut client, "SET app.tenant_id = 'nobody'"), unknown("nobody"));
        client.rows("SET app.tenant_id = 'acme'");
        assert_eq!(client.value(PLAN), "gold");
        let mut client = stage.anonymous();
        let named = |tenant: &str| format!("/* tenant_id='{tenant}' */ {PLAN}");
        assert_eq!(error_of(&mut client, &named("no-one")), unknown("no-one"));
        assert_eq!(error_of(&mut client, &named("no-one")), unknown("no-one"));
        assert_eq!(client.value(&named("acme")), "gold");
        assert_eq!((stage.asked("nobody"), stage.asked("no-one")), (1, 1));
    }
);

both_versions!(
    /// Inside an open transaction nobody waits: who was never asked for is in the default tier,
    /// who is known not to exist is refused.
    a_tenant_that_is_named_inside_a_transaction,
    |pg| {
        let stage = Stage::new(pg, "");
        let mut client = stage.anonymous();
        client.rows("BEGIN; SET LOCAL app.tenant_id = 'acme'");
        assert_eq!(client.value(PLAN), "default");
        client.rows("COMMIT");
        eventually("it is asked for", || {
            client.rows("BEGIN; SET LOCAL app.tenant_id = 'acme'");
            let plan = client.value(PLAN);
            client.rows("COMMIT");
            plan == "gold"
        });
        assert!(stage.login("nobody").is_err());
        client.rows("BEGIN");
        let error = error_of(&mut client, "SET LOCAL app.tenant_id = 'nobody'");
        assert_eq!(error, unknown("nobody"));
        client.rows("ROLLBACK");
        assert_eq!((stage.asked("acme"), stage.asked("nobody")), (1, 1));
    }
);

both_versions!(
    /// That there is no such tenant is remembered for a while and not longer.
    a_new_tenant,
    |pg| {
        let stage = Stage::new(pg, "negative_ttl = \"1h\"");
        for _ in 0..5 {
            assert!(stage.login("later").is_err());
        }
        assert_eq!(stage.asked("later"), 1);
        let stage = Stage::on(stage.database, crate::FIND, "negative_ttl = \"300ms\"", "");
        let mut client = stage.anonymous();
        client.rows("SET app.tenant_id = 'later'");
        assert_eq!(error_of(&mut client, PLAN), unknown("later"));
        stage.database.sql("INSERT INTO public.tenants VALUES ('later', 'gold')");
        eventually("it is there", || {
            let error = error_of(&mut client, PLAN);
            assert!(error.is_empty() || error == unknown("later"), "{error}");
            error.is_empty()
        });
        assert_eq!(client.value(PLAN), "gold");
    }
);

both_versions!(
    /// What is changed there holds for clients that are connected, after the ttl.
    a_change,
    |pg| {
        let stage = Stage::new(pg, "ttl = \"200ms\"\nnegative_ttl = \"100ms\"");
        let mut client = stage.client_of("acme");
        assert_eq!(client.value(PLAN), "gold");
        stage.database.sql("UPDATE public.tenants SET tier = 'silver' WHERE id = 'acme'");
        eventually("it is in the other tier", || client.value(PLAN) == "silver");
        stage.database.sql("DELETE FROM public.tenants WHERE id = 'acme'");
        eventually("it is refused", || error_of(&mut client, PLAN) == unknown("acme"));
        stage.database.sql("INSERT INTO public.tenants VALUES ('acme', 'gold')");
        eventually("it is back", || error_of(&mut client, PLAN).is_empty());
        assert_eq!(client.value(PLAN), "gold");
    }
);

both_versions!(
    /// A client that always has requests under way feels it too.
    a_change_amid_a_pipeline,
    |pg| {
        let stage = Stage::new(pg, "ttl = \"200ms\"");
        let mut client = stage.client_of("acme");
        let request = query("SELECT 1 FROM pg_sleep(0.002)");
        for _ in 0..8 {
            client.send(&request);
        }
        assert_eq!(error_among(&client.until_ready()), "");
        stage.database.sql("DELETE FROM public.tenants WHERE id = 'acme'");
        eventually("it is refused", || {
            client.send(&request);
            error_among(&client.until_ready()) == unknown("acme")
        });
    }
);

both_versions!(
    /// As the operator's own SUSPEND, and beside it.
    a_suspended_tenant,
    |pg| {
        let more = "ttl = \"200ms\"";
        let console = "[console]\nadmin_users = [\"app\"]";
        let stage = Stage::with(pg, crate::FIND, more, console);
        let mut client = stage.client_of("acme");
        let mut console = stage.pgusher.raw("pgusher");
        client.rows(PLAN);
        let suspended = "42501: tenant \"acme\" is suspended";
        stage.database.sql("UPDATE public.tenants SET suspended = true");
        eventually("it is suspended", || error_of(&mut client, PLAN) == suspended);
        assert_eq!(stage.login("acme").expect_err("no"), format!("FATAL:{suspended}"));
        // The operator cannot undo there what is said elsewhere, and the other way round.
        console.rows("RESUME TENANT acme");
        assert_eq!(error_of(&mut client, PLAN), suspended);
        console.rows("SUSPEND TENANT acme");
        stage.database.sql("UPDATE public.tenants SET suspended = false");
        let asked = stage.asked("acme");
        eventually("it is asked for twice", || {
            assert_eq!(error_of(&mut client, PLAN), suspended);
            stage.asked("acme") > asked + 1
        });
        console.rows("RESUME TENANT acme");
        assert_eq!(client.value(PLAN), "gold");
    }
);

both_versions!(
    /// The console goes before the query, and the file is not even asked about.
    what_goes_before_the_query,
    |pg| {
        let more = "ttl = \"100ms\"";
        let others = "[tenants.acme]\ntier = \"silver\"\n[tenants.listed]\n\
                      [console]\nadmin_users = [\"app\"]";
        let stage = Stage::with(pg, crate::FIND, more, others);
        assert_eq!(stage.client_of("acme").value(PLAN), "silver");
        assert_eq!(stage.client_of("listed").value(PLAN), "default");
        assert_eq!((stage.asked("acme"), stage.asked("listed")), (0, 0));
        let mut client = stage.client_of("plain");
        assert_eq!(client.value(PLAN), "default");
        stage.pgusher.raw("pgusher").rows("SET TENANT plain tier = 'gold'");
        let asked = stage.asked("plain");
        eventually("it is asked for twice", || {
            assert_eq!(client.value(PLAN), "gold");
            stage.asked("plain") > asked + 1
        });
    }
);

both_versions!(
    /// With `unknown = "accept"` who is not found is in the default tier.
    unknown_tenants_may_be_welcome,
    |pg| {
        let stage = Stage::with(pg, crate::FIND, "", "unknown = \"accept\"");
        assert_eq!(stage.client_of("nobody").value(PLAN), "default");
        assert_eq!(stage.client_of("acme").value(PLAN), "gold");
        assert_eq!(stage.asked("nobody"), 1);
    }
);

both_versions!(
    /// What cannot be the id of a tenant is none; it is not the database that fails.
    an_id_of_another_type,
    |pg| {
        let database = pg.fresh_database();
        let id = "0af7651b-1c2e-4b1e-9a57-1f6f6d6f6a01";
        database.sql(&format!(
            "CREATE TABLE public.known (id uuid); INSERT INTO public.known VALUES ('{id}');
             GRANT SELECT ON public.known TO app"
        ));
        let query = "SELECT 'gold' AS tier FROM public.known WHERE id = $1";
        let stage = Stage::on(database, query, "", "");
        let told = stage.login("acme").expect_err("no uuid");
        assert_eq!(told, format!("FATAL:{}", unknown("acme")));
        assert_eq!(stage.client_of(id).value(PLAN), "gold");
        assert_eq!(stage.line.accepted(), 1);
        assert!(!stage.pgusher.log_contains("cannot be asked for"));
    }
);

both_versions!(
    /// The table may change while the query is prepared.
    the_table_changes,
    |pg| {
        let query = "SELECT * FROM public.tenants WHERE id = $1";
        let stage = Stage::with(pg, query, "ttl = \"1h\"", "");
        assert_eq!(stage.client_of("acme").value(PLAN), "gold");
        stage.database.sql("ALTER TABLE public.tenants ADD COLUMN note text DEFAULT 'x'");
        assert_eq!(stage.client_of("plain").value(PLAN), "default");
        assert!(!stage.pgusher.log_contains("cannot be asked for"));
        // What means nothing is said once.
        stage.database.sql("INSERT INTO public.tenants VALUES ('other', 'gold')");
        assert_eq!(stage.client_of("other").value(PLAN), "gold");
        for column in ["id", "note"] {
            let said = format!("the column \"{column}\" means nothing here and is ignored");
            assert_eq!(stage.pgusher.log().matches(&said).count(), 1, "{column}");
        }
    }
);

both_versions!(
    /// A2: what the role and the database say of names does not reach the query.
    a_hostile_search_path,
    |pg| {
        let database = pg.fresh_database();
        let name = &database.name;
        database.sql(crate::SETUP);
        database.sql(&format!(
            "CREATE SCHEMA evil;
             CREATE TABLE evil.tenants AS SELECT 'nobody'::text AS id, 'gold'::text AS tier;
             CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'gold'::text $$;
             GRANT USAGE ON SCHEMA evil TO app; GRANT SELECT ON evil.tenants TO app;
             UPDATE public.tenants SET tier = 'SILVER' WHERE id = 'acme';
             ALTER DATABASE \"{name}\" SET search_path = evil, pg_catalog, public;
             ALTER ROLE app IN DATABASE \"{name}\" SET search_path = evil, pg_catalog, public;
             ALTER ROLE app IN DATABASE \"{name}\" SET default_transaction_read_only = off;"
        ));
        let bait = "SELECT lower(tier) FROM tenants WHERE id = 'nobody'";
        assert_eq!(database.raw().value(bait), "gold");
        let query = "SELECT lower(tier) AS tier FROM public.tenants WHERE id = $1";
        let stage = Stage::on(database, query, "", "");
        assert_eq!(stage.client_of("acme").value(PLAN), "silver");
        // A name without a schema is nothing.
        let query = "SELECT tier FROM tenants WHERE id = $1";
        let stage = Stage::on(stage.database, query, "", "");
        let told = stage.login("nobody").expect_err("no such table");
        assert_eq!(told, "FATAL:08001: tenant \"nobody\" cannot be looked up");
        stage.pgusher.wait_for_log("does not exist (42P01)");
        // And nothing can be written.
        let query = "SELECT set_config('x.y', nextval('public.s')::text, false), $1::text AS tier";
        stage.database.sql("CREATE SEQUENCE public.s; GRANT ALL ON public.s TO app");
        let stage = Stage::on(stage.database, query, "", "");
        assert!(stage.login("acme").is_err());
        stage.pgusher.wait_for_log("read-only transaction (25006)");
    }
);

both_versions!(
    /// Two rows are no answer. What is wrong with one tenant is nobody else's affair.
    two_rows,
    |pg| {
        let stage = Stage::new(pg, "");
        stage.database.sql("INSERT INTO public.tenants VALUES ('acme', 'silver')");
        for _ in 0..3 {
            let told = stage.login("acme").expect_err("which?");
            assert_eq!(told, "FATAL:08001: tenant \"acme\" cannot be looked up");
            assert_eq!(stage.client_of("plain").value(PLAN), "default");
        }
        let said = "the query in [tenants_query]: it finds more than one row";
        assert_eq!(stage.pgusher.log().matches(said).count(), 1);
        stage.database.sql("DELETE FROM public.tenants WHERE tier = 'silver'");
        eventually("it is one", || stage.login("acme").is_ok());
        assert_eq!(stage.line.accepted(), 1);
    }
);
