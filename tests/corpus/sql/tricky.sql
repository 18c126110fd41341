select 1
----
select 1;
----

----
 ;; -- nothing
/* at /* all */ */ ;
----
select 1;;select 2 ; -- end
----
select 'a;b', 'it''s; ', ''';'; select 2
----
select 'a\'; select 2
----
select E'a\';b', e'\\'; select E'\'\'', ';'; select 3
----
select E'a'
'\';b'; select 2
----
select 'a' -- comment ; '
 'b;'; select 1
----
select 'a' /* no continuation */ as b; select 1
----
select U&'d\0061t\+000061;' as a, u&"d\0061;", U&'!0061' UESCAPE '!' ; select 1
----
select U & 'x' from (select 6 as u) t; select 2
----
select u&1 from (select 6 as u) t
----
select N'a;b', n'c', B'01', b'0', X'1f', x'FF' ; select 1
----
select $$a;b$$, $t$;$$;$u$;$t$ ; select $x$$x$ ; select $é$;$é$
----
select $a$ $b$a$ ; select 1
----
select a$$b from (select 1 as a$$b) t; select 2
----
select 1,$$a;$$ from t where a = $1and($$;$$ = b); select 2
----
select $1, $2::text; select $1
----
select 1e5, 1.5, .5, 1., 1.e3, 0x1F, 0o17, 0b11, 1_000, 1_000.000_1e1_0 ; select 2
----
select a[1:2], a[:], x::int from t
----
select +--;
1; select 2
----
select 1 +/* ; */2; select 3*/* ; **/4; select 5 - -1; select 6 --;
----
select 1 */*;*/ 2; select 4 /**/ / /***/ 5; select 7 /*/* ;*/*/
----
select /*/**//*;*/*/ 1; select 2
----
select /* -- */ 1; -- /* ;
select 2 /* ' */; select '/*;'; select '--;'
----
select "a;b", "a""; b", "--" from t; select "/*"
----
select @-1, a<>b, a@>b, a->>'x', a#-b, a?|b from t
----
set x.a=-1; set x.a = +1.5; set x.a to 007; set x.a = 99999999999; set x.a=1e5
----
create rule r as on insert to t do also (insert into a values (1); delete from b;); select 1
----
create function f(a int) returns int language sql begin atomic select 1; select case when a > 1 then 2 end; end; select 2
----
create or replace procedure p() begin atomic insert into t values (case when true then case when false then 1 end else 2 end); end; commit
----
create function f() returns int begin atomic end; select 1
----
create function f() returns int begin atomic; ;select 1 as end, t.end from t;; end; select 1
----
create function f() returns int return case when true then 1 end; select 1
----
create function f(begin atomic) returns int language sql as $$ select 1; $$; select 1
----
create function begin() returns atomic language sql as 'select 1;'; end
----
begin; select 1; commit
----
begin work; BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, NOT DEFERRABLE; start transaction; Start Transaction Read Write
----
commit; commit work; commit transaction and no chain; commit and chain; end; end work and chain; end transaction
----
rollback; abort; abort work and chain; rollback transaction and no chain; rollback and chain
----
savepoint a; savepoint "A b"; release a; release savepoint a; release savepoint; rollback to a; rollback work to savepoint B; rollback transaction to savepoint; savepoint savepoint
----
prepare transaction 'x'; commit prepared 'x'; rollback prepared 'x'; prepare transaction as select 1; prepare transaction(int) as select $1
----
prepare a as select 1; prepare b (int, text) as insert into t values ($1, $2); execute a; execute b(1, 'x'); deallocate a; deallocate prepare "B"; deallocate all; deallocate prepare all; deallocate prepare
----
set a.b = 'c'; set A.B to 'c'; set session a.b = "C"; set local a.b to c; set "a"."B" = on; set a . b = 'x'; SET "a.b" = false; set a.b.c = 1
----
set a.b to default; set local a.b = default; set search_path to a, b; set search_path = 'a', "B"; set search_path to "$user", public
----
set time zone 'UTC'; set time zone local; set time zone default; set time zone -7; set time zone 3.5; set local time zone Europe; set time zone interval '-08:00' hour to minute; set session time zone "x"
----
set names 'utf8'; set names; set names default; set schema 'a'; set role x; set role none; set role "X"; set role 'y'; set local role z; set session role q
----
set session authorization x; set session authorization default; set session session authorization 'y'; set local session authorization z; set xml option document; set xml option content
----
set session = 1; set session.a = 1; set local.a to 2; set local to 3; set time = 1; set names = 2; set role = r; set role to r; set transaction = 1; set constraints = 1; set schema = 'x'; set session constraints = 3; set characteristics = 1; set session characteristics = 2
----
set transaction isolation level serializable; set local transaction read only; set session transaction read write; set session characteristics as transaction read only; set transaction snapshot 'x'; set transaction deferrable; set constraints all deferred; set constraints a, b.c immediate
----
set a.b = E'x\'y'; set a.b = $$x$$; set a.b = 'it''s'; set a.b = 'a'
'b'; set a.b = U&'x'; set a.b = E'\x41\101\n'
----
reset a; reset a.b; reset "A"; reset all; reset time zone; reset session authorization; reset transaction isolation level; reset role; reset session; reset time; reset transaction
----
discard all; discard plans; discard sequences; discard temp; discard temporary
----
declare c cursor for select 1; declare c binary insensitive no scroll cursor with hold for select 1; declare "C" cursor without hold for select 1; declare a asensitive scroll cursor for select 1
----
close c; close all; close "C"; fetch c; fetch next from c; move 5 from c; fetch backward all in c
----
listen a; listen "A"; unlisten *; unlisten a; notify a; notify a, 'x;'
----
load 'x'; lock t; lock table only a, b in share mode nowait; call p(1); do $$ begin commit; end $$; do language plpgsql 'begin end;'
----
copy t from stdin; copy t(a, b) to stdout with (format csv); copy t from 'x'; copy t to program 'x'; copy (select * from t) to stdout; copy binary t from stdin; copy t from stdout; copy t to stdin; copy a.t from program 'stdin'
----
explain select 1; explain analyze select 1; explain (analyze, costs off) select 1; explain verbose select 1; explain analyze verbose execute x; explain (costs off) declare c cursor for select 1; explain analyze create temp table t as select 1
----
vacuum; vacuum full t; analyze t; vacuum (analyze) t; cluster; cluster t; reindex table t; reindex (concurrently) table t; reindex database concurrently x; reindex system x; reindex schema s
----
create database x; drop database if exists x; create tablespace x location 'y'; drop tablespace x; alter system set a = 1; alter system reset all; alter database x set tablespace y; alter database x set a.b = 'c'; alter database x owner to y
----
create index concurrently on t (a); create unique index concurrently if not exists i on t (a); create index i on t(a); drop index concurrently i; drop index i; alter table t detach partition p concurrently; alter table t detach partition p; refresh materialized view concurrently m
----
create subscription s connection 'x' publication p; alter subscription s disable; drop subscription s
----
create temp table t (a int); create temporary table t as select 1; create local temp table t(a int); create global temporary table t(a int); create temp view v as select 1; create or replace temp view v as select 1; create temp sequence s; create temp recursive view v(a) as select 1; create table pg_temp.t (a int); create function pg_temp.f() returns int language sql as 'select 1'
----
create table t (a int); create unlogged table t(a int); create view v as select 1; create materialized view m as select 1; create extension x; create type t as enum ('a'); alter type t add value 'b'; create table temp (a int); create schema temporary
----
select 1 into temp t; select 1 as a into temporary table t; select 1 into local temp t; select 1 into t; insert into temp values (1); insert into temporary select 1; (select 1 into temp t); with x as (select 1) select * into temp t from x; with x as (select 1) insert into temp select * from x
----
insert into t values (1); update t set a = 1; delete from t; merge into t using s on true when matched then delete; with a as (select 1) select * from a; values (1), (2); table t; (select 1) union (select 2); ((select 1))
----
truncate t; grant select on t to u; revoke all on t from u; comment on table t is 'x;'; security label on table t is 'x'; checkpoint; show all; show time zone; import foreign schema s from server t into u; reassign owned by a to b; drop owned by a; analyze; analyse
----
select set_config('a.b', 'c', true); select pg_catalog.set_config($1, $2, false), "set_config"('a', null, 't'); select set_config ( /* x */ 'a'::text, $1::text, true ) as x
----
select pg_advisory_lock(1), pg_try_advisory_lock_shared(1, 2); select pg_advisory_unlock(1); select pg_advisory_unlock_all(); select pg_advisory_xact_lock(1); select currval('s'), lastval()
----
/* tenant_id='acme' */ select 1; select 2 -- x
----
create table "é;" (ü int); select 'é;', é from "é;" where ü = 'ß'; select 1
----
alter role a set x.y = 'z'; create role a; drop role a; create user u password 'x;y'
----
select 1 where 'a' = any (array['x;', 'y']) and b ~ '^;$'; select 2
----
create function f() returns trigger language plpgsql as $body$ begin perform 1; if x then y; end if; end; $body$; create trigger t after insert on a for each row execute function f()
----
select begin, atomic, commit from t; select 1 as begin; select begin atomic from t
