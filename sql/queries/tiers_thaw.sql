-- Makes a warm partition hot again, for who is about to write it.
delete from partition_tiers as t
where t.relation = %(relation)s and t.partition_start = %(partition_start)s and t.tier = 'warm'
returning thaw_partition(t.relation, t.partition_start, %(until)s);
