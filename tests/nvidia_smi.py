"""What nvidia-smi printed on other machines, and a program of that name that prints it again.

The captures have the elements of drivers 470 to 580 that matter here, in their order and spelling; what nobody reads is left out.
"""
from pathlib import Path

HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
HEAD += "\t<timestamp>Sat Nov 21 09:12:44 2026</timestamp>\n\t<driver_version>{driver}</driver_version>\n{cuda}"
CARD = """\t<gpu id="00000000:{bus}:00.0">
\t\t<product_name>{name}</product_name>
\t\t<product_architecture>{architecture}</product_architecture>
\t\t<persistence_mode>{persistence}</persistence_mode>
\t\t<mig_mode>
\t\t\t<current_mig>{mig}</current_mig>
\t\t\t<pending_mig>{mig}</pending_mig>
\t\t</mig_mode>
\t\t<mig_devices>
{slices}
\t\t</mig_devices>
\t\t<{clocks}_reasons>
\t\t\t<{clocks}_reason_gpu_idle>Active</{clocks}_reason_gpu_idle>
\t\t\t<{clocks}_reason_sw_power_cap>Not Active</{clocks}_reason_sw_power_cap>
\t\t\t<{clocks}_reason_hw_slowdown>{slow}</{clocks}_reason_hw_slowdown>
\t\t\t<{clocks}_reason_hw_thermal_slowdown>{slow}</{clocks}_reason_hw_thermal_slowdown>
\t\t</{clocks}_reasons>
\t\t<fb_memory_usage>
\t\t\t<total>{total}</total>
\t\t\t<reserved>551 MiB</reserved>
\t\t\t<used>{used}</used>
\t\t</fb_memory_usage>
\t\t<compute_mode>Default</compute_mode>
\t\t<ecc_errors>
\t\t\t<volatile>
\t\t\t\t<sram_correctable>7</sram_correctable>
\t\t\t\t<sram_uncorrectable_parity>{ecc}</sram_uncorrectable_parity>
\t\t\t\t<dram_correctable>7</dram_correctable>
\t\t\t\t<dram_uncorrectable>{ecc}</dram_uncorrectable>
\t\t\t</volatile>
\t\t\t<aggregate>
\t\t\t\t<dram_uncorrectable>9</dram_uncorrectable>
\t\t\t</aggregate>
\t\t</ecc_errors>
\t\t<remapped_rows>
\t\t\t<remapped_row_pending>{pending}</remapped_row_pending>
\t\t\t<remapped_row_failure>{failed}</remapped_row_failure>
\t\t</remapped_rows>
\t\t<temperature>
\t\t\t<gpu_temp>{temperature}</gpu_temp>
\t\t</temperature>
\t\t<{power}power_readings>
\t\t\t<power_draw>68.21 W</power_draw>
\t\t\t<{limit}>{watts}</{limit}>
\t\t\t<default_power_limit>{default_watts}</default_power_limit>
\t\t</{power}power_readings>
\t\t<processes>
{processes}\t\t</processes>
\t</gpu>
"""
SLICE = """\t\t\t<mig_device>
\t\t\t\t<index>0</index>
\t\t\t\t<gpu_instance_id>1</gpu_instance_id>
\t\t\t\t<compute_instance_id>0</compute_instance_id>
\t\t\t\t<fb_memory_usage>
\t\t\t\t\t<total>{0} MiB</total>
\t\t\t\t\t<used>12 MiB</used>
\t\t\t\t</fb_memory_usage>
\t\t\t</mig_device>"""
PROCESS = """\t\t\t<process_info>
\t\t\t\t<gpu_instance_id>N/A</gpu_instance_id>
\t\t\t\t<compute_instance_id>N/A</compute_instance_id>
\t\t\t\t<pid>{0}</pid>
\t\t\t\t<type>C</type>
\t\t\t\t<process_name>{1}</process_name>
\t\t\t\t<used_memory>{2}</used_memory>
\t\t\t</process_info>
"""
H100 = dict(bus="19", name="NVIDIA H100 80GB HBM3", architecture="Hopper", persistence="Enabled", mig="Disabled", slices="\t\t\tNone",
            clocks="clocks_event", slow="Not Active", total="81559 MiB", used="0 MiB", ecc="0", pending="No", failed="No",
            temperature="34 C", power="gpu_", limit="current_power_limit", watts="700.00 W", default_watts="700.00 W", processes="")
A100 = {**H100, "bus": "07", "name": "NVIDIA A100-SXM4-80GB", "architecture": "Ampere", "total": "81920 MiB", "watts": "400.00 W",
        "default_watts": "400.00 W"}
RTX3090 = {**H100, "bus": "01", "name": "NVIDIA GeForce RTX 3090", "architecture": "Ampere", "mig": "N/A", "total": "24576 MiB",
           "used": "1 MiB", "ecc": "N/A", "pending": "N/A", "failed": "N/A", "clocks": "clocks_throttle", "power": "",
           "limit": "power_limit", "watts": "350.00 W", "default_watts": "350.00 W"}
SILENT = {**RTX3090, **dict.fromkeys(("persistence", "total", "used", "temperature", "watts", "default_watts"), "[N/A]"),
          "slow": "[Not Supported]", "architecture": "[Not Supported]", "processes": PROCESS.format("[N/A]", "[Not Found]", "[N/A]")}
COULD_NOT = ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is "
             "installed and running.\n")


def xml(*cards, driver="570.124.06", cuda="12.8"):
    """Return what `nvidia-smi -q -x` prints for these cards."""
    head = HEAD.format(driver=driver, cuda=f"\t<cuda_version>{cuda}</cuda_version>\n" if cuda else "")
    return f"{head}\t<attached_gpus>{len(cards)}</attached_gpus>\n{''.join(CARD.format(**card) for card in cards)}</nvidia_smi_log>\n"


def install(folder, said, status=0, then=""):
    """Put a program called nvidia-smi into a folder (for the PATH): it prints `said`, runs the shell code `then`, and exits."""
    Path(folder, "said").write_bytes(said if isinstance(said, bytes) else said.encode())
    program = Path(folder, "nvidia-smi")
    program.write_text(f'#!/bin/sh\n[ "$*" = "-q -x" ] || exit 2\ncat "{folder}/said"\n{then}\nexit {status}\n')
    program.chmod(0o755)
