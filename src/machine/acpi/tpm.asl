/*
 * The TPM, for machines that have one. "TCG ACPI Specification": the identifier of TPM 2.0 devices; the five localities and
 * the interrupt that dev/tpm_tis.c is wired to. A serial interrupt is low while it is asked for.
 */
DefinitionBlock ("", "SSDT", 2, "TURNST", "TURNSTPM", 0x00000001)
{
	Scope (\_SB)
	{
		Device (TPM)
		{
			Name (_HID, "MSFT0101")
			Name (_CID, "MSFT0101")
			Name (_UID, One)
			Name (_STR, Unicode ("TPM 2.0 Device"))
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0xFED40000, 0x00005000)
				Interrupt (ResourceConsumer, Level, ActiveLow, Shared) { 6 }
			})
			Method (_STA, 0, NotSerialized)
			{
				Return (0x0F)
			}
		}
	}
}
