-- Hands the database to its owner and closes what PostgreSQL leaves open to everybody.
-- Analysts may not make temporary tables nor take advisory locks, which would block the writers.
grant rrr_owner to current_user;
-- The knowledge horizon looks at when other sessions' transactions began.
grant pg_read_all_stats to rrr_owner;
alter database {database} owner to rrr_owner;
revoke all on database {database} from public;
grant connect on database {database} to rrr_writer, rrr_analyst;
grant temporary on database {database} to rrr_writer;
alter schema public owner to rrr_owner;
revoke create on schema public from public;
grant usage on schema public to rrr_writer, rrr_analyst;
alter role rrr_analyst in database {database} set default_transaction_read_only = on;
alter role rrr_analyst in database {database} set statement_timeout = {timeout};
alter role rrr_analyst in database {database} set idle_in_transaction_session_timeout = {timeout};
-- A DO block can catch the timeout that would end it, and goes on when its client is gone.
revoke usage on language plpgsql from public;
grant usage on language plpgsql to rrr_owner;
alter role rrr_analyst in database {database} set client_connection_check_interval = '5s';
alter role rrr_writer in database {database} set work_mem = '256MB';
do $$
declare
    routine regprocedure;
begin
    for routine in
        select p.oid from pg_proc as p
        where
            p.pronamespace = 'pg_catalog'::regnamespace
            and (p.proname like 'pg\_advisory%' or p.proname like 'pg\_try\_advisory%' or p.proname in ('lo_create', 'lo_creat', 'lo_from_bytea', 'lo_import', 'pg_notify'))
            and has_function_privilege('rrr_analyst', p.oid, 'execute')
    loop
        execute format('revoke execute on function %s from public', routine);
        execute format('grant execute on function %s to rrr_owner, rrr_writer', routine);
    end loop;
    -- TimescaleDB lets everybody schedule jobs, and look into what is none of theirs to change. Reading needs what does not
    -- change anything, and of the rest the sizes, row counts and the filling of gaps.
    for routine in
        select p.oid from pg_proc as p
        inner join pg_depend as d on p.oid = d.objid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'
        inner join pg_extension as e on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
        where
            e.extname = 'timescaledb' and p.provolatile = 'v'
            and p.proname !~ '(_size|_stats|_row_count|_gapfill)$' and p.proname not in ('locf', 'interpolate')
            and has_function_privilege('rrr_analyst', p.oid, 'execute')
    loop
        execute format('revoke execute on routine %s from public', routine);
        execute format('grant execute on routine %s to rrr_owner, rrr_writer', routine);
    end loop;
    if exists (select 1 from pg_extension as e where e.extname = 'timescaledb') then
        -- A whole day that comes again, into a chunk of the columnstore, is more than is allowed by itself.
        execute format(
            'alter role rrr_writer in database %I set timescaledb.max_tuples_decompressed_per_dml_transaction = 0', current_database()
        );
    end if;
end;
$$;
