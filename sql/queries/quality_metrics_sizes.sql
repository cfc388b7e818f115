-- How large the database is, and how far behind now what was known is final.
select
    pg_database_size(current_database()) as size_bytes,
    extract(epoch from statement_timestamp() - knowledge_horizon()) as horizon_seconds;
