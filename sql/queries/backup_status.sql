-- How far the receiver of the log is, and what its slot keeps back. No row where there is no such slot. Bytes, as numbers of the log.
select
    s.active as is_active,
    s.wal_status,
    pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint as kept_back_bytes,
    greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), r.write_lsn))::bigint as behind_bytes,
    greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), r.flush_lsn))::bigint as unflushed_bytes
from pg_replication_slots as s
left join pg_stat_replication as r on s.active_pid = r.pid
where s.slot_name = %(slot)s;
