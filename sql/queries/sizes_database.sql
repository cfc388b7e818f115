-- The whole database, and whether this role may ask for the size of the write-ahead log.
select
    pg_database_size(current_database()) as size_bytes,
    has_function_privilege('pg_ls_waldir()', 'execute') as may_ask_wal;
