-- The knowledge horizon, where a reader asks twice in one transaction, or just as a batch enters the books.

create or replace function knowledge_horizon() returns timestamptz
language sql volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    -- The statement's time, not the clock's: a batch that enters after the locks were looked at draws a later stamp than this.
    -- A transaction keeps the first picture of the sessions that it took: a holder that is not in it, or was idle then,
    -- began after this transaction did.
    select least(statement_timestamp(), min(coalesce(writer.xact_start, transaction_timestamp())))
    from pg_locks as held
    left join pg_stat_activity as writer on held.pid = writer.pid
    where
        held.locktype = 'advisory' and held.granted
        and held.database = (select oid from pg_database where datname = current_database())
        and held.classid = 0 and held.objid = 1920102915 and held.objsubid = 1;
end;
