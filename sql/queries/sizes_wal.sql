-- The write-ahead log of the server.
select coalesce(sum(w.size), 0)::bigint as size_bytes
from pg_ls_waldir() as w;
