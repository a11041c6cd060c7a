@echo off
rem Windows counterpart of ./falcon. Always asks the incremental build first (a few seconds). Not covered by the tests, which run on Linux.
setlocal
set "DOTNET_NOLOGO=1"
where dotnet >nul 2>nul || (echo falcon: .NET SDK 10 was not found; install it from https://dot.net 1>&2 & exit /b 2)
dotnet build "%~dp0src\Falcon.Cli\Falcon.Cli.csproj" -c Release --nologo -v quiet 1>&2 || (echo falcon: the build failed 1>&2 & exit /b 1)
dotnet "%~dp0src\Falcon.Cli\bin\Release\net10.0\Falcon.Cli.dll" %*
exit /b %ERRORLEVEL%
