-- Whether the server can put TimescaleDB into a database: its files are there, and its library was loaded at the start.
-- A setting that is only written down, of a library that was not loaded, is not listed.
select
    exists (select 1 from pg_available_extensions where name = 'timescaledb')
    and exists (select 1 from pg_settings where name = 'timescaledb.max_background_workers') as has_timescaledb;
