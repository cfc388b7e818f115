-- The server, and whether this database was ever migrated.
select
    current_setting('server_version') as server_version,
    pg_database_size(current_database()) as size_bytes,
    to_regclass('public.schema_migrations') is not null and to_regclass('public.schema_engine') is not null as is_migrated;
