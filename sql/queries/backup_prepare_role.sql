-- What the role of the backups may do, beside copying the data and reading the log. Functions are granted in the database it enters.
grant pg_read_all_settings to rrr_backup;
grant pg_read_all_stats to rrr_backup;
grant pg_checkpoint to rrr_backup;
grant execute on function pg_backup_start(text, boolean) to rrr_backup;
grant execute on function pg_backup_stop(boolean) to rrr_backup;
grant execute on function pg_switch_wal() to rrr_backup;
grant execute on function pg_create_restore_point(text) to rrr_backup;
