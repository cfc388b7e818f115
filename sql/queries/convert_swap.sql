-- Puts the hypertables where the partitioned tables were. Nobody writes meanwhile, and who reads waits.
do $$
declare
    moved record;
begin
    for moved in
        select c.relname from pg_class as c where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace and c.relname like 'bars\_live\_%'
        order by array_position(array['bars_live_1d', 'bars_live_1h', 'bars_live_5m', 'bars_live_1m'], c.relname::text)
    loop
        execute format('drop view public.%I', moved.relname);
    end loop;
    for moved in
        select c.relname from pg_class as c where c.relkind = 'p' and c.relnamespace = 'public'::regnamespace
    loop
        execute format('drop table public.%I', moved.relname);
        execute format('alter table converting.%I set schema public', moved.relname);
    end loop;
    drop table converting.days;
    drop schema converting;
    update schema_engine set engine = 'timescaledb';
end;
$$;
