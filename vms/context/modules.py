"""What cloud-init knows: its modules' top-level keys, and its types of parts, as data.

Sources: schema-cloud-config-v1.json of cloud-init 22.4.2 (Debian 12) with what 23 and 24 added;
keys that only the code reads, of the modules and of the system's configuration; keys of before
that it still reads.
"""

_WORDS = """
    allow_public_ssh_keys ansible apk_repos apt apt_pipelining apt_reboot_if_required apt_update
    apt_upgrade authkey_hash autoinstall bootcmd byobu_by_default ca-certs ca_certs chef chpasswd
    cloud_config_modules cloud_final_modules cloud_init_modules create_hostname_file
    device_aliases disable_ec2_metadata disable_root disable_root_opts disk_setup drivers fan
    final_message fqdn fs_setup groups growpart grub-dpkg grub_dpkg hostname keyboard landscape
    locale locale_configfile lxd manage_etc_hosts manage_resolv_conf mcollective migrate
    mount_default_fields mounts no_ssh_fingerprints ntp output package_reboot_if_required
    package_update package_upgrade packages password phone_home power_state
    prefer_fqdn_over_hostname preserve_hostname puppet random_seed reporting resize_rootfs
    resolv_conf rh_subscription rpi rsyslog runcmd salt_minion snap spacewalk ssh
    ssh_authorized_keys ssh_deletekeys ssh_fp_console_blacklist ssh_genkeytypes ssh_import_id
    ssh_key_console_blacklist ssh_keys ssh_publish_hostkeys ssh_pwauth ssh_quiet_keygen swap
    timezone ubuntu-advantage ubuntu_advantage ubuntu_pro unverified_modules updates user users
    vendor_data vendor_data2 wireguard write_files yum_repo_dir yum_repos zypper

    launch-index merge_how merge_type
    datasource datasource_list debug def_log_file def_log_file_mode disable_network_activation
    final_modules log_cfgs manual_cache_clean network no_ssh_fingerprints syslog_fix_perms
    system_info users_groups allow_userdata
    apt_custom_sources_list apt_ftp_proxy apt_http_proxy apt_https_proxy apt_mirror
    apt_mirror_search apt_mirror_search_dns apt_preserve_sources_list apt_proxy apt_sources
    add_apt_repo_match debconf_selections snappy resize_rootfs_tmp emit_keys_to_console
    """

#: Top-level keys of a #cloud-config.
KEYS = frozenset(_WORDS.split())

#: Types of parts that cloud-init itself does something with: subtype -> what.
SUBTYPES = {
    "x-shellscript": "a script, run once, at the end of the first boot",
    "cloud-config": "settings in YAML",
    "cloud-boothook": "a script, run early and at every boot",
    "x-include-url": "addresses of more user data, one a line",
    "x-include-once-url": "addresses of more user data, fetched once",
    "part-handler": "a Python program for types of parts of its own",
    "x-shellscript-per-boot": "a script, run at every boot",
    "x-shellscript-per-instance": "a script, run once in each machine",
    "x-shellscript-per-once": "a script, run once ever",
    "upstart-job": "a job for Upstart, which Ubuntu had until 14.10",
    "jinja2": "a template of one of the others",
    "cloud-config-archive": "several of the others, in a YAML list",
    "cloud-config-jsonp": "changes to settings, as a JSON patch",
    "plain": "one of the others: its first line says which",
}

SCRIPTS = frozenset(
    {"x-shellscript", "x-shellscript-per-boot", "x-shellscript-per-instance",
     "x-shellscript-per-once"}
)  # fmt: skip
INCLUDES = frozenset({"x-include-url", "x-include-once-url"})
