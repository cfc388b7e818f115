-- The whole database that one is in.
select pg_database_size(current_database()) as size_bytes;
