-- Whether the receiver has what was logged up to a place, and whether its disk has it.
select
    coalesce(r.write_lsn >= %(lsn)s::pg_lsn, false) as is_received,
    coalesce(r.flush_lsn >= %(lsn)s::pg_lsn, false) as is_on_disk
from pg_replication_slots as s
left join pg_stat_replication as r on s.active_pid = r.pid
where s.slot_name = %(slot)s;
