-- Whether this database was handed to its owner and closed to everybody else.
select
    coalesce(
        (
            select
                d.datdba = r.oid
                and not has_database_privilege('rrr_analyst', d.oid, 'temporary')
                and not has_function_privilege('rrr_analyst', 'pg_try_advisory_lock(bigint)', 'execute')
                and not has_function_privilege('rrr_analyst', 'pg_advisory_xact_lock_shared(integer, integer)', 'execute')
                and not has_language_privilege('rrr_analyst', 'plpgsql', 'usage')
                and has_function_privilege('rrr_writer', 'pg_advisory_xact_lock(bigint)', 'execute')
                and not exists (
                    select 1 from pg_proc as p
                    inner join pg_depend as x on p.oid = x.objid and x.classid = 'pg_proc'::regclass and x.deptype = 'e'
                    inner join pg_extension as e on x.refclassid = 'pg_extension'::regclass and x.refobjid = e.oid
                    where
                        e.extname = 'timescaledb' and p.provolatile = 'v'
                        and p.proname !~ '(_size|_stats|_row_count|_gapfill)$' and p.proname not in ('locf', 'interpolate')
                        and has_function_privilege('rrr_analyst', p.oid, 'execute')
                )
                and pg_has_role('rrr_owner', 'pg_read_all_stats', 'member')
                and exists (
                    select 1 from pg_db_role_setting as s
                    inner join pg_roles as a on s.setrole = a.oid
                    where s.setdatabase = d.oid and a.rolname = 'rrr_analyst' and 'default_transaction_read_only=on' = any(s.setconfig)
                )
            from pg_database as d
            inner join pg_roles as r on r.rolname = 'rrr_owner'
            where d.datname = current_database()
        ),
        false
    )
    and (select count(*) = 3 from pg_roles where rolname in ('rrr_owner', 'rrr_writer', 'rrr_analyst')) as is_prepared;
